"""Golden vectors of every kind come back from their file as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import BundleError
from embedkit.bundle.golden import golden_arrays, golden_key, golden_values, media_arrays, read_golden
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


PIXELS = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)


def written(path: Path, **more: np.ndarray) -> Path:
    arrays = {
        "texts": np.array(["one", "two", "three"]),
        **golden_arrays(np.ones((3, 2), np.float32), golden_key("text", "dense")),
        **golden_arrays(np.ones((2, 2), np.float32), golden_key("image", "dense")),
        **golden_arrays(np.ones((2, 2), np.float32), golden_key("document", "dense")),
        **media_arrays("image", {"pixels": PIXELS}, [(b"a file", {"pixels": PIXELS[0]})]),
        **more,
    }
    np.savez(path / "golden.npz", **arrays)
    return path / "golden.npz"


OUTPUTS = {role: {"dense": Output(kind="dense", dim=2)} for role in ("text", "image", "document")}
OWNERS = {"text": "text", "image": "image", "document": "image"}


def test_what_is_no_text_is_kept_as_it_was_prepared(tmp_path: Path) -> None:
    found = read_golden(written(tmp_path), OUTPUTS, OWNERS)
    assert found.texts == ["one", "two", "three"]
    assert [found.rows(role) for role in OUTPUTS] == [3, 2, 2]
    assert set(found.inputs) == set(found.files) == {"image", "document"}
    assert np.array_equal(found.inputs["document"]["pixels"], PIXELS)
    ((data, expected),) = found.files["image"]
    assert data == b"a file"
    assert np.array_equal(expected["pixels"], PIXELS[0])


def test_rows_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="for each of 2 items"):
        read_golden(written(tmp_path, **{"vectors.image": np.ones((3, 2), np.float32)}), OUTPUTS, OWNERS)
    with pytest.raises(BundleError, match="at least one prepared item of the role 'image'"):
        read_golden(written(tmp_path, **{"input.pixels.image": PIXELS[:0]}), OUTPUTS, OWNERS)
