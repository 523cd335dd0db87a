"""What output tensors become, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import InputError, MultiVectors, SparseVectors
from embedkit.bundle.manifest import Output
from embedkit.runtime.outputs import Named, activated, empty_values, of_tensor


def test_what_is_not_there_is_named_beside_what_is() -> None:
    outputs = Named("output", {"b": 1, "a": 2})
    assert (list(outputs), outputs["a"], outputs.get("c")) == (["b", "a"], 2, None)
    with pytest.raises(InputError, match="output: this bundle has b, a, found 'c'"):
        outputs["c"]


@pytest.mark.parametrize("kind", ["multivector", "tokens"])
def test_the_vectors_of_the_tokens_that_its_mask_leaves(kind: str) -> None:
    tensor = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    masks = {"mask": np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]])}
    masks["pool_mask"] = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    found = of_tensor(Output(kind=kind, dim=3), tensor, masks, 2)
    mask = masks["pool_mask" if kind == "multivector" else "mask"]
    for i in range(2):
        assert np.array_equal(found[i], tensor[i][mask[i] == 1])  # type: ignore[arg-type]


def test_the_largest_words_are_kept() -> None:
    tensor = np.array([[0, 3, 1, 2], [0, 0, 0, 5]], np.float32)
    found = of_tensor(Output(kind="sparse", dim=4, top=2), tensor, {}, 2)
    assert isinstance(found, SparseVectors)
    assert found.dense().tolist() == [[0, 3, 0, 2], [0, 0, 0, 5]]


@pytest.mark.parametrize(
    ("kind", "of"), [("dense", np.ndarray), ("logits", np.ndarray), ("sparse", SparseVectors), ("tokens", MultiVectors)]
)
def test_no_rows_of_each_kind(kind: str, of: type) -> None:
    found = empty_values(Output(kind=kind, dim=5))  # type: ignore[arg-type]
    assert isinstance(found, of)
    assert len(found) == 0
    assert (found.shape[1] if isinstance(found, np.ndarray) else found.dim) == 5


def test_activations_of_numbers_of_any_size() -> None:
    logits = np.array([[0, 1, -2], [1e4, -1e4, 0], [-1e30, 1e30, 0]], np.float32)
    assert np.array_equal(activated(logits, "identity"), logits)
    with np.errstate(over="raise", invalid="raise"):
        by_one, all_ = activated(logits, "sigmoid"), activated(logits, "softmax")
    assert np.allclose(by_one[0], [0.5, 0.7310586, 0.1192029])
    assert by_one[1:].tolist() == [[1, 0, 0.5], [0, 1, 0.5]]
    assert np.allclose(all_[0], np.exp([0, 1, -2]) / np.exp([0, 1, -2]).sum())
    assert all_[1:].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert activated(logits[:0], "softmax").shape == (0, 3)
