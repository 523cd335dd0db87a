"""A model's own heads over token vectors; the reference is the model."""

from __future__ import annotations

import pytest
import torch

from embedkit_export.modules.vocabulary import ModelHead, Vocabulary
from helpers import models

IDS = torch.tensor([[2, 9, 11, 3]])


@pytest.mark.parametrize(("family", "head"), [("bert", "ForMaskedLM"), ("albert", "ForSequenceClassification")])
def test_a_head_gives_the_logits_of_the_whole(family: str, head: str) -> None:
    whole = models.make(family, head=head, layers=1, hidden=16)[0]
    shapes = set(whole._modules)
    with torch.no_grad():
        hidden = whole.base_model(input_ids=IDS).last_hidden_state
        found = ModelHead(whole)(hidden, IDS, torch.ones_like(IDS))
        torch.testing.assert_close(found, whole(input_ids=IDS).logits, rtol=1e-4, atol=1e-5)
    assert set(whole._modules) == shapes


def test_the_words_in_parts_are_the_logits() -> None:
    whole = models.make("bert", head="ForMaskedLM", layers=1, hidden=16)[0]
    made = Vocabulary(whole)
    with torch.no_grad():
        states = made.hidden(whole.base_model(input_ids=IDS).last_hidden_state, IDS, torch.ones_like(IDS))
        found = torch.cat([states @ part.T for part in made.weights], dim=-1) + made.shift
        torch.testing.assert_close(found, whole(input_ids=IDS).logits, rtol=1e-4, atol=1e-5)


def test_logits_that_are_changed_afterwards_are_refused() -> None:
    whole = models.make("bert", head="ForMaskedLM", layers=1, hidden=16)[0]
    whole.register_forward_hook(lambda _, __, out: type(out)(logits=out.logits.tanh()))
    with pytest.raises(ValueError, match="changes its logits"):
        Vocabulary(whole)
