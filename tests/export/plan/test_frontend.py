"""What a role reads of a text."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from embedkit import ExportError
from embedkit_export import Recipe, prepare
from embedkit_export.recipes.recipe import IdsInput
from helpers import models


def test_a_tokenizer_that_cuts_the_beginning_is_refused() -> None:
    model, tokenizer = models.make("bert")
    tokenizer.truncation_side = "left"
    with pytest.raises(ExportError, match="role default: the tokenizer cuts long texts at their beginning"):
        prepare((model, tokenizer))


def with_tokens_added() -> tuple[Any, Any]:
    """A model whose tokenizer got two tokens after its table was made."""
    model, tokenizer = models.make("bert")
    tokenizer.add_tokens(["<new>", "<other>"])
    return model, tokenizer


def test_tokens_beyond_the_table_are_told() -> None:
    model, tokenizer = with_tokens_added()
    found = prepare((model, tokenizer), pooling="mean")
    rows = model.config.vocab_size
    assert {role.frontend.vocabulary for role in found.plan.roles.values()} == {rows}
    (note,) = [note for note in found.plan.notes if "beyond" in note]
    assert f"2 tokens ('<new>', '<other>') beyond the model's table of {rows}" in note
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    found = prepare((model, tokenizer), pooling="mean")
    assert {role.frontend.vocabulary for role in found.plan.roles.values()} == {None}
    assert not any("beyond" in note for note in found.plan.notes)


def test_a_token_of_every_text_beyond_the_table_is_refused() -> None:
    with pytest.raises(
        ExportError, match=r"every text would have the token '<new>' \(id 286\), and the model's table .* ends at 285"
    ):
        prepare(with_tokens_added(), recipe=Recipe(template="<new> {text}"))
    fill = {"padding": "read", "pad": 16, "max_tokens": 16, "pad_token": "<other>"}
    with pytest.raises(ExportError, match="every text would have the token '<other>'"):
        prepare(with_tokens_added(), recipe=Recipe(**fill))


def test_padding_beyond_the_table_is_another_id() -> None:
    """Decoders get a padding token beside a table that was never made larger."""
    model, tokenizer = models.make("qwen3")
    tokenizer.add_special_tokens({"pad_token": "<fill>"})
    assert tokenizer.pad_token_id == model.config.vocab_size
    found = prepare((model, tokenizer), pooling="last")
    assert {role.frontend.pad_id for role in found.plan.roles.values()} == {0}


def test_ids_beyond_the_table_are_refused() -> None:
    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = torch.nn.Embedding(30, 8)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.rows(input_ids) * attention_mask[:, :, None]

    assert prepare(Table(), recipe=Recipe(ids=IdsInput(size=30, max=6)))
    with pytest.raises(ExportError, match="cannot be run as the recipe says, on the id 30: index out of range"):
        prepare(Table(), recipe=Recipe(ids=IdsInput(size=31, max=6)))


def test_a_limit_that_the_positions_lower_is_told_and_angles_have_none() -> None:
    assert limit_of("bert") == (64, []), "what the model was made for"
    assert limit_of("nomic-bert") == (64, [])
    told = "at most 64 tokens of the 900 that were asked for: "
    stated = {"recipe": Recipe(max_tokens=900, pooling="mean"), "pooling": None}
    assert limit_of("bert", **stated) == (64, [told + "the model's positions end there"])
    assert limit_of("bert", max_tokens=900) == (64, [told + "the model's positions end there"])
    assert limit_of("nomic-bert", **stated) == (900, [])
    why = "its tokenizer says so; a recipe with max_tokens reads more"
    assert limit_of("nomic-bert", max_tokens=900) == (64, [told + why])


def limit_of(family: str, **options: Any) -> tuple[int, list[str]]:
    plan = prepare(models.make(family, layers=1), **{"pooling": "mean", **options}).plan
    return plan.roles["default"].frontend.truncate.max, [note for note in plan.notes if "asked for" in note]
