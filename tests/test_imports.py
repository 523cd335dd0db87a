"""What importing costs, seen from outside."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys

import pytest

import embedkit

HEAVY = {
    "torch",
    "onnxruntime",
    "openvino",
    "transformers",
    "sentence_transformers",
    "pandas",
    "chromadb",
    "qdrant_client",
    "qdrant_edge",
    "redis",
    "opensearchpy",
    "grpc",
    "duckdb",
    "lancedb",
    "pyarrow",
    "psycopg",
    "pgvector",
    "sqlite_vec",
    "pymilvus",
    "milvus_lite",
    "pysqlite3",
    "onnx",
    "rich",
    "bm25s",
    "Stemmer",
    "scipy",
    "sklearn",
    "pytrec_eval",
    "matplotlib",
    "pydantic",
}


def loaded_by(code: str) -> set[str]:
    code += "\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split("\n")}


@pytest.mark.parametrize(
    "code",
    [
        "import embedkit",
        "import embedkit.cli",
        "import embedkit.evaluation",
        "import embedkit_chroma, embedkit_duckdb, embedkit_lancedb, embedkit_milvus, embedkit_opensearch, embedkit_pgvector\n"
        "import embedkit_opensearch.elasticsearch, embedkit_qdrant, embedkit_qdrant_edge, embedkit_redis, embedkit_sqlite_vec",
        "import embedkit_export",
        "import sys; sys.argv = ['embedkit', '--help']\n"
        "from embedkit.cli import main\ntry: main()\nexcept SystemExit: pass",
    ],
)
def test_importing_is_light(code):
    assert not loaded_by(code) & HEAVY


def test_what_the_stores_can_do_is_told_without_their_engines():
    """But for sqlite-vec, which is asked whether this Python's SQLite can load it."""
    code = "import sys; sys.argv = ['embedkit', 'stores']\nfrom embedkit.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert not loaded_by(code) & (HEAVY - {"sqlite_vec", "pysqlite3"})


def test_numpy_is_not_needed_to_import():
    assert "numpy" not in loaded_by("import embedkit")


def test_the_runtime_loads_no_torch(bundle):
    code = f"from embedkit import *; Encoder.load({str(bundle)!r}, engine='onnxruntime').encode_query('x'); verify({str(bundle)!r})"
    assert "onnxruntime" in loaded_by(code)
    assert not loaded_by(code) & (HEAVY - {"onnxruntime"})


def test_every_public_name_is_there():
    assert embedkit.__all__ == sorted(set(embedkit.__all__))
    for name in embedkit.__all__:
        assert getattr(embedkit, name) is not None
    assert dir(embedkit) == embedkit.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        embedkit.nothing


def test_the_errors_are_a_tree_over_builtins():
    """The tree that the docstring draws is the one that there is."""
    from embedkit import errors

    def drawn():
        path: list[str] = []
        for line in errors.__doc__.splitlines():
            if not line.startswith("    ") or not (word := re.search(r"[A-Z]\w+", line)):
                continue
            depth = (word.start() - 4) // 4
            path[depth:] = [word[0]]
            own = re.match(r"\w+(?:\((\w+)\))?", line[word.start() :])
            yield word[0], path[-2] if depth else None, own[1] if own else None

    builtin = {"KeyboardInterrupt", "UserWarning"}
    tree = {name: (parent, own) for name, parent, own in drawn()}
    there = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == "embedkit.errors"
    }
    assert there | {"IngestError", "IngestInterrupted"} == tree.keys() - builtin
    assert len(there) > 10
    for name, (parent, own) in tree.items():
        if name in builtin:
            continue
        error = getattr(errors, name)
        assert name in embedkit.__all__
        if parent is not None:
            assert issubclass(error, getattr(errors, parent, None) or getattr(builtins, parent))
        if own is not None:
            assert issubclass(error, getattr(builtins, own))
        if parent not in builtin:
            assert issubclass(error, errors.EmbedkitError)
