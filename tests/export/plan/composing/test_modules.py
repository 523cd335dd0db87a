"""Roles that go through one module of a live model."""

from __future__ import annotations

import pytest
from torch import nn

from embedkit import ExportError
from embedkit_export import FeaturesInput, Role
from embedkit_export.plan.composing.modules import module_of
from embedkit_export.sources.source import Source


def test_a_module_is_found_by_its_name_or_those_there_are_are_named() -> None:
    whole = nn.ModuleDict({"text": nn.Linear(2, 2), "image": nn.Sequential(nn.Linear(3, 3))})
    origin = Source("both", whole, "tokenizer", routes={"image": Source("other", None, None)})
    found = module_of(origin, "image.0", "role query")
    assert found.backbone is whole["image"][0]
    assert (found.tokenizer, found.routes) == ("tokenizer", {})
    with pytest.raises(ExportError, match="role query: module: ModuleDict has no module 'sound'; it has text, image"):
        module_of(origin, "sound", "role query")


def test_what_says_that_nothing_is_to_be_found_out() -> None:
    assert not Role(max_tokens=5).names_parts
    for role in (Role(module="a"), Role(parts={"a": Role()}), Role(features=FeaturesInput(shape=[3]))):
        assert role.names_parts
