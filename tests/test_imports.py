"""What importing costs, seen from outside."""

from __future__ import annotations

import os
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
    "grpc",
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
        "import embedkit_chroma, embedkit_lancedb, embedkit_milvus, embedkit_pgvector\n"
        "import embedkit_qdrant, embedkit_qdrant_edge, embedkit_sqlite_vec",
        "import embedkit_export",
        "import sys; sys.argv = ['embedkit', '--help']\n"
        "from embedkit.cli import main\ntry: main()\nexcept SystemExit: pass",
    ],
)
def test_importing_is_light(code):
    assert not loaded_by(code) & HEAVY


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
    from embedkit import errors

    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) > 10
    for error in found:
        assert issubclass(error, errors.EmbedkitError)
        assert error is errors.EmbedkitError or error.__name__ in errors.__doc__
        assert error.__name__ in embedkit.__all__, error
