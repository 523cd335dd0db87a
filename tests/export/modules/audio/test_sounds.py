"""What is captured of a model of sounds is what transformers computes."""

from __future__ import annotations

import pytest
import torch

from embedkit_export.modules.audio.sounds import FeatureBackbone, FirstTokens, WaveBackbone, frames_of
from helpers.audio_models import single


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-layer", "hubert", "wavlm"])
def test_samples(kind: str) -> None:
    model, _ = single(kind)
    samples = torch.randn(3, 900, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(samples, output_hidden_states=True)
        frames = model._get_feat_extract_output_lengths(torch.tensor([900] * 3))
        found = WaveBackbone(model)(samples, output_hidden_states=True)
        told = WaveBackbone(model)(samples, frames)
        assert torch.allclose(found.last_hidden_state, expected.last_hidden_state, atol=1e-5)
        assert torch.allclose(told.last_hidden_state, expected.last_hidden_state, atol=1e-5)
        assert len(found.hidden_states) == len(expected.hidden_states)


def test_a_mask_is_that_of_transformers() -> None:
    model, _ = single("wav2vec2-layer")
    samples = torch.randn(2, 900, generator=torch.Generator().manual_seed(0))
    samples[1, 500:] = 0
    mask = (torch.arange(900)[None] < torch.tensor([[900], [500]])).long()
    length = model._get_feat_extract_output_lengths(mask.sum(dim=1))
    with torch.no_grad():
        expected = model(samples, attention_mask=mask).last_hidden_state
        found = WaveBackbone(model)(samples, length).last_hidden_state
        alone = WaveBackbone(model)(samples[1:, :500], length[1:]).last_hidden_state
    for row, frames in enumerate(length):
        assert torch.allclose(found[row, :frames], expected[row, :frames], atol=1e-5)
    assert torch.allclose(found[1, : length[1]], alone[0], atol=1e-5)


@pytest.mark.parametrize(("kind", "shape"), [("whisper", (80, 200)), ("ast", (100, 32))])
def test_bands(kind: str, shape: tuple[int, int]) -> None:
    model, _ = single(kind)
    body = model.encoder if kind == "whisper" else model
    features = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = FeatureBackbone(body)(features, output_hidden_states=True)
        assert torch.equal(found.last_hidden_state, body(features).last_hidden_state)
    assert len(found.hidden_states) >= 2


def test_a_body_of_plain_tensors() -> None:
    found = FeatureBackbone(torch.nn.Linear(4, 3))(torch.ones(2, 5, 4))
    assert found.last_hidden_state.shape == (2, 5, 3)
    assert found.hidden_states is None


def test_the_first_of_each() -> None:
    assert frames_of(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True, True, True]]
    hidden = torch.arange(24.0).reshape(2, 4, 3)
    found = FirstTokens(2)(hidden, torch.ones(2, 4))
    assert found.shape == (2, 2, 3)
    assert torch.equal(found[:, 0], (hidden[:, 0] + hidden[:, 1]) / 2)
    assert torch.equal(found[:, 1], found[:, 0])
