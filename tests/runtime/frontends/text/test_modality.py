"""Text as a modality."""

from __future__ import annotations

from pathlib import Path

from embedkit import Bundle
from embedkit.bundle.manifest import Choice, Input, Part, TextFrontend, Truncate
from embedkit.runtime.frontends.text.modality import TextModality

FRONTEND = TextFrontend(tokenizer="tokenizer.json", template=[Part(field="text")], truncate=Truncate(max=9))


def test_choices_are_those_of_the_inputs() -> None:
    choice = Choice(field="domain", values={"a": 0, "b": 1}, default="b")
    modality = TextModality(FRONTEND, [Input(name="d", dtype="int64", source="choice", choice=choice)])
    assert (modality.choices, modality.fields) == ([choice], {"text": None})
    assert modality.check("x", "text 0") == {"text": "x"}


def test_it_is_opened_with_the_bundles_tokenizer(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    tower = opened.tower("default")
    asked = []

    def path(name: str) -> Path:
        asked.append(name)
        return opened.path(name)

    preparer = TextModality(tower.frontend, tower.inputs).open(path)
    batches = preparer.batches(["ab", "c"], 100, lambda lengths, longest: lengths)
    assert asked == ["tokenizer.json"]
    rows = {}
    for batch in batches:
        found = batch.tensors(len(batch.rows))
        rows |= {
            int(row): ids[mask == 1].tolist()
            for row, ids, mask in zip(batch.rows, found["ids"], found["mask"], strict=True)
        }
    assert rows == {0: [256, 97, 98, 257], 1: [256, 99, 257]}
    assert sum(batch.tokens for batch in batches) == 7
