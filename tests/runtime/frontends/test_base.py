"""What all kinds of input have."""

from __future__ import annotations

import pickle

from embedkit.bundle.manifest import Choice, IdsFrontend, Input
from embedkit.runtime.frontends.base import Unencodable
from embedkit.runtime.frontends.ids import IdsModality


def test_an_item_without_a_vector_comes_back_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(Unencodable(3, "it is empty")))
    assert (type(error), error.number, error.reason) == (Unencodable, 3, "it is empty")


def test_a_choice_fills_an_input_of_any_kind() -> None:
    choice = Choice(field="domain", values={"a": 0})
    modality = IdsModality(IdsFrontend(size=9, max=4), [Input(name="d", dtype="int64", source="choice", choice=choice)])
    assert [entry.choice for entry in modality.inputs] == [choice]


def test_without_named_fields_there_are_none_and_items_go_as_they_are() -> None:
    modality = IdsModality(IdsFrontend(size=9, max=4), [])
    assert (modality.fields, modality.choices) == ({}, [])
    item = modality.check([1], "x")
    assert modality.portable(item) is item
