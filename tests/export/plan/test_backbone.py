"""What a backbone is asked before it is captured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

import embedkit_export
from embedkit import ExportError
from embedkit_export.plan import backbone
from embedkit_export.recipes import recipe
from helpers import models


def test_a_mask_that_cannot_be_taken_off_is_refused() -> None:
    sizes = {
        "hidden_size": 32,
        "num_layers": 1,
        "num_heads": 4,
        "attention_types": [[["global"], 1]],
        "vocab_size": 400,
    }
    model = transformers.GPTNeoModel(transformers.GPTNeoConfig(**sizes, max_position_embeddings=64))
    pair = (model, models.make_tokenizer("decoder"))
    embedkit_export.prepare(pair, recipe=embedkit_export.Recipe(causal=True))
    with pytest.raises(ExportError, match="role default: causal = false has no effect on GPTNeoModel"):
        embedkit_export.prepare(pair, recipe=embedkit_export.Recipe(causal=False))


def test_positions_are_those_of_the_table() -> None:
    assert backbone.positions(models.make("roberta")[0]) == 64  # of 66, two before the first token
    assert backbone.positions(models.make("bert")[0]) == 64
    assert backbone.positions(torch.nn.Linear(2, 2)) is None


def test_a_pooler_that_is_not_there_is_not_used() -> None:
    with pytest.raises(ExportError, match="ElectraModel has no pooler"):
        embedkit_export.prepare(models.make("electra"), recipe=recipe.Recipe(pooling="pooler"))


@pytest.mark.parametrize(
    ("family", "options", "endless"),
    [
        ("qwen3", {}, True),
        ("modernbert", {}, True),
        ("nomic-bert", {}, True),
        ("embedding-gemma", {}, True),
        ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                                       "high_freq_factor": 4.0, "original_max_position_embeddings": 32}}, True),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, False),
        ("bert", {}, False),
        ("roformer", {}, False),
        ("gpt2", {}, False),
    ],
)  # fmt: skip
def test_positions_that_are_computed_have_no_end(family: str, options: dict[str, Any], endless: bool) -> None:
    assert backbone.has_endless_positions(models.make(family, layers=1, **options)[0]) is endless
