"""What short runs of a module show."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import embedkit_export
from embedkit import ExportError
from embedkit_export.modules.audio.sounds import FeatureBackbone
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.modules.pooling import Pool
from embedkit_export.plan.short_runs import picture_slots, pooled_alone, short_run, sound_slots, width_of
from helpers import image_models, models
from helpers.audio_models import single


def graph(backbone: object, inputs: list[str], pools: list[torch.nn.Module]) -> EncoderGraph:
    return EncoderGraph(
        backbone,
        inputs,
        layers=[-1],
        join="concat",
        layer_weights=None,
        token_stages=[],
        pools=pools,
        stages=[],
        heads={},
    ).eval()


def test_sizes_of_vectors() -> None:
    model, _ = models.make("bert")
    module = graph(model, ["input_ids", "attention_mask"], [Pool("mean"), Pool("first")])
    width = model.config.hidden_size
    assert width_of(module, "here", 5, {}, pooled=False) == width
    assert width_of(module, "here", 5, {}) == 2 * width
    with pytest.raises(ExportError, match="here: the model cannot be run as the recipe says, on the id 99999"):
        short_run(module.hidden, module, "here", 99_999, {})


def test_slots_of_clips() -> None:
    model, _ = single("whisper")
    module = graph(FeatureBackbone(model.encoder), ["features"], [Pool("mean")])
    assert sound_slots(module, "here", {"features": (80, 200)}) == 100
    with pytest.raises(ExportError, match="cannot be run as the recipe says, on silence"):
        sound_slots(module, "here", {"features": (80, 7)})


class Attending(torch.nn.Module):
    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.matmul(mask[:, None].expand(-1, 2, -1), hidden)


def test_a_pooling_of_tokens_that_are_all_an_items() -> None:
    hidden = torch.randn(2, 3, 4)
    assert torch.allclose(pooled_alone(Attending(), hidden)[:, 0], hidden.sum(dim=1), atol=1e-6)


def test_the_sizes_of_a_model_of_pictures(tmp_path: Path) -> None:
    plan = embedkit_export.prepare(image_models.saved(tmp_path, *image_models.single("vit"))).plan
    module = plan.graphs["default"].module
    assert width_of(module, "role default", 5, {}) == 32
    assert width_of(module, "role default", 5, {}, pooled=False) == 32
    assert picture_slots(module, module.backbone.image, "role default") == 17
    with pytest.raises(
        ExportError, match="role default: the model cannot be run as the recipe says, on black pictures"
    ):
        short_run(lambda given: given["nothing"], module, "role default", 5, {})
