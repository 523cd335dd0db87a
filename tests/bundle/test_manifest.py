"""What a manifest may say."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.bundle.manifest import Output, is_plain_name


@pytest.mark.parametrize("name", ["a.onnx", "model.int8.onnx", "README.md", "a b.txt", "_x"])
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "C:x", "a\0b", "a\n", "a.", "a ", "~", "é"]
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain_name(name)


@pytest.mark.parametrize("wrong", [{"kind": "sparse"}, {"kind": "dense", "default": 2}])
def test_means_of_tokens_are_whole_dense_vectors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected `tokens` of dense vectors only"):
        Output(dim=4, tokens="states", **wrong)
