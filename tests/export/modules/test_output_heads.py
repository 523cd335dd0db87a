"""The heads of outputs that a recipe names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from embedkit.errors import ExportError
from embedkit_export.modules.output_heads import is_normalized, output_head
from embedkit_export.recipes.outputs import Logits, MultiVector, Sparse, Tokens
from embedkit_export.sources.weight_files import Weights


def test_token_vectors_say_whether_they_have_unit_length() -> None:
    origin, weights = SimpleNamespace(whole=None, backbone=nn.Identity()), Weights([], None)
    for stages, normal in (([], False), ([{"kind": "normalize"}], True), ([{"kind": "normalize"}, nn.ReLU()], False)):
        made = output_head(MultiVector(stages=stages), origin, weights, "output x")
        assert made.compact
        assert is_normalized(made) == normal
    assert not output_head(Tokens(), origin, weights, "output x").compact


@pytest.mark.parametrize("given", [Logits(), Sparse()])
def test_a_model_without_a_head_is_refused(given: Any) -> None:
    origin = SimpleNamespace(whole=None, backbone=nn.Identity())
    with pytest.raises(ExportError, match="output x: Identity was loaded without a head for"):
        output_head(given, origin, Weights([], None), "output x")
