"""The pooling that the code of a model card has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from embedkit_export import Recipe, prepare
from embedkit_export.plan.detection.card import from_card
from helpers import models


@pytest.mark.parametrize(
    ("code", "mode", "normal"),
    [
        ("last_token_pool(out, mask)", "last", False),
        ("F.normalize(mean_pooling(out))", "mean", True),
        ("out.last_hidden_state[:, 0]", "first", False),
        ("out.pooler_output", "pooler", False),
    ],
)
def test_code_says_it(code: str, mode: str, normal: bool, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# m\n```python\n{code}\n```\n")
    found = from_card(SimpleNamespace(folder=tmp_path))
    assert found.recipe.pooling.mode == mode
    assert bool(found.recipe.stages) == normal
    assert any(repr(mode) in note for note in found.notes)


@pytest.mark.parametrize("card", [None, b"mean_pooling(out)", b"```\nmean_pooling(o) or cls_pool\n```", b"\xff\xfe"])
def test_the_mean_where_nothing_or_too_much_is_said(card: bytes | None, tmp_path: Path) -> None:
    if card is not None:
        (tmp_path / "README.md").write_bytes(card)
    assert from_card(SimpleNamespace(folder=tmp_path)).reasons == ["pooling: mean, because nothing says otherwise"]


def test_a_pooling_that_nobody_stated_is_told_with_what_changes_it(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "bert")
    found = prepare(folder)
    (note,) = [note for note in found.inferred.notes if "pooling" in note]
    assert note.startswith("pooling 'mean' was taken, as sentence-transformers does, because nothing says otherwise")
    assert 'pass --pooling first, mean, max, last or pooler, or write  pooling = "last"  in a recipe' in note
    assert note in found.text()
    assert prepare(folder, pooling="mean").inferred.notes == []
    assert prepare(folder, recipe=Recipe(pooling="first")).inferred.notes == []


def test_a_language_model_is_pooled_at_its_last_token(tmp_path: Path) -> None:
    """As sentence-transformers pools one; a chat template is told of."""
    model, tokenizer = models.make("qwen3", head="ForCausalLM")
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    model.save_pretrained(tmp_path / "chat")
    tokenizer.save_pretrained(tmp_path / "chat")
    found = prepare(tmp_path / "chat")
    assert found.recipe.pooling.mode == "last"
    notes = " ".join(found.inferred.notes)
    assert "pooling 'last' was taken, as sentence-transformers does, because the model is a Qwen3ForCausalLM" in notes
    assert (
        "has a chat template, which sentence-transformers puts every text into; here a text is read as it is" in notes
    )
