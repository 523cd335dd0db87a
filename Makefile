# Every target makes .venv first if it is missing, and reuses it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# A plain torch takes several gigabytes of CUDA packages on some platforms; this release was tested.
TORCH ?= torch==2.13.0

.PHONY: demo test test-all bench faults lint clean

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/embedkit demo

# Two workers, a file at a time each: an export uses one core for most of its time.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

test: $(READY)
	$(PYTEST) -m "not slow"

# With those that are one more of a kind: another family of models, another seed, the same engine by another way.
test-all: $(READY)
	$(PYTEST)

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/concurrency.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/rerank.py

# The tests of faults with more kills than the suite has, at other moments each time.
faults: $(READY)
	EMBEDKIT_KILLS=20 EMBEDKIT_SEED=$$(date +%s) $(BIN)/python -m pytest tests/faults

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv .demo build dist
