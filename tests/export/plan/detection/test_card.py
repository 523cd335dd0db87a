"""The pooling that the code of a model card has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from embedkit_export import Recipe, prepare
from embedkit_export.plan.detection.card import from_card
from helpers import models

E5_MISTRAL = """
def last_token_pool(last_hidden_states, attention_mask):
    left_padding = (attention_mask[:, -1].sum() == attention_mask.shape[0])
    if left_padding:
        return last_hidden_states[:, -1]
    sequence_lengths = attention_mask.sum(dim=1) - 1
    return last_hidden_states[torch.arange(batch_size), sequence_lengths]
embeddings = F.normalize(last_token_pool(outputs.last_hidden_state, batch['attention_mask']), p=2, dim=1)"""
E5 = """
last_hidden = last_hidden_states.masked_fill(~attention_mask[..., None].bool(), 0.0)
embeddings = F.normalize(last_hidden.sum(dim=1) / attention_mask.sum(dim=1)[..., None], p=2, dim=1)"""
MINILM = """
input_mask_expanded = attention_mask.unsqueeze(-1).expand(token_embeddings.size()).float()
out = torch.sum(token_embeddings * input_mask_expanded, 1) / torch.clamp(input_mask_expanded.sum(1), min=1e-9)
out = F.normalize(out, p=2, dim=1)"""
CONTRIEVER = """
token_embeddings = token_embeddings.masked_fill(~mask[..., None].bool(), 0.)
sentence_embeddings = token_embeddings.sum(dim=1) / mask.sum(dim=1)[..., None]"""
"""Of cards, where the mask is counted for one pooling and for another."""


@pytest.mark.parametrize(
    ("code", "mode", "normal"),
    [
        ("last_token_pool(out, mask)", "last", False),
        ("F.normalize(mean_pooling(out))", "mean", True),
        ("out.last_hidden_state[:, 0]", "first", False),
        ("out.pooler_output", "pooler", False),
        (E5_MISTRAL, "last", True),
        (E5, "mean", True),
        (MINILM, "mean", True),
        (CONTRIEVER, "mean", False),
        ("v = hidden.mean(dim=1)", "mean", False),
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
