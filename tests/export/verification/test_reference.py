"""The reference itself, against the model called on one text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from embedkit_export.plan.prepare import prepare
from embedkit_export.verification import reference
from helpers import models


def test_texts_of_as_many_tokens_share_a_call_and_keep_the_vectors_that_they_have_alone(tmp_path: Path) -> None:
    prepared = prepare(models.save("bert", tmp_path / "bert"), pooling="mean", normalize=False)
    role = prepared.plan.roles["default"]
    texts = [
        "bread",
        "flour and water",
        "salt",
        "the last boat",
        "yeast",
        "a recipe for bread needs flour",
        "the first boat",
    ]
    module = prepared.plan.graphs["default"].module
    sizes: list[tuple[int, ...]] = []
    hook = module.backbone.register_forward_hook(
        lambda _module, _args, given, _out: sizes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    found = reference.values(prepared.plan, "default", texts)["dense"]
    hook.remove()
    assert isinstance(found, np.ndarray)
    assert sum(rows for rows, _ in sizes) == len(texts)
    assert len(sizes) == len({columns for _, columns in sizes}) < len(texts)
    for text, vector in zip(texts, found, strict=True):
        given = role.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = module.backbone(**{name: given[name] for name in ("input_ids", "attention_mask")})
        expected = hidden.last_hidden_state[0].mean(dim=0).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-5)
