"""The modality of each kind of frontend."""

from __future__ import annotations

import pytest

from embedkit import BundleError
from embedkit.bundle.manifest import IdsFrontend, Input, Part, TextFrontend, Truncate
from embedkit.runtime.frontends.ids import IdsModality
from embedkit.runtime.frontends.registry import modality_of
from embedkit.runtime.frontends.text.modality import TextModality

TEXT = TextFrontend(tokenizer="t", template=[Part(field="text")], truncate=Truncate(max=8))
IDS = IdsFrontend(size=9, max=4)


@pytest.mark.parametrize(("frontend", "modality"), [(TEXT, TextModality), (IDS, IdsModality)])
def test_each_kind_has_its_own(frontend: TextFrontend | IdsFrontend, modality: type) -> None:
    inputs = [Input(name="input_ids", dtype="int64", source="ids")]
    found = modality_of(frontend, inputs)
    assert type(found) is modality
    assert (found.frontend, found.inputs) == (frontend, inputs)


@pytest.mark.parametrize("frontend", [TEXT, IDS])
def test_an_input_that_it_cannot_fill_is_named(frontend: TextFrontend | IdsFrontend) -> None:
    inputs = [Input(name="pixels", dtype="float32", source="image")]
    with pytest.raises(BundleError, match=rf"inputs\.pixels\.source: .*the kind {frontend.kind}, found 'image'"):
        modality_of(frontend, inputs)
