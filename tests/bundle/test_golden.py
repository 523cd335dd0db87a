"""Golden vectors of every kind come back from their file as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit.bundle.golden import golden_arrays, golden_key, golden_values
from embedkit.bundle.manifest import Output
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit.vectors.values import Values, equal

DENSE = np.arange(6, dtype=np.float32).reshape(2, 3)
CASES = [
    ("dense", DENSE),
    ("logits", DENSE),
    ("sparse", SparseVectors.of([[0, 1.5, 0], [0, 0, 0]])),
    ("multivector", MultiVectors.of([DENSE, DENSE[:0], DENSE[1:]])),
    ("tokens", MultiVectors.of([DENSE])),
]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=[kind for kind, _ in CASES])
def test_what_is_written_is_read(tmp_path: Path, kind: str, values: Values) -> None:
    output = Output(kind=kind, dim=3)  # type: ignore[arg-type]
    key = golden_key("query", kind)
    np.savez(tmp_path / "golden.npz", **golden_arrays(values, key))
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as data:
        found = golden_values(output, key, data)
        assert found is not None
        assert equal(found, values)
        assert golden_values(output, golden_key("document", kind), data) is None, "of another role there is none"


def test_keys_of_two_outputs_of_two_roles_differ() -> None:
    keys = {golden_key(role, output) for role in ("query", "document") for output in ("dense", "late")}
    assert len(keys) == 4
    assert golden_key("query", "dense") == "vectors.query", "as the first bundles have it"
