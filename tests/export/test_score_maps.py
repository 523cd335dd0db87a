"""A map of a picture's places, scored by texts that have seen it (DenseCLIP, Rao et al. 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import embedkit
import embedkit_export
from embedkit import CrossScorer, Encoder
from embedkit_export import CrossOf, FeaturesInput, Recipe, Role
from helpers.image_models import VIT, pair
from helpers.pictures import drawn
from helpers.systems import sample

pytestmark = pytest.mark.slow

GRID, DIM, CONTEXTS = 4, 24, 3
PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(90, 90, 3)]
CLASSES = ["rain", "the old house", "river", "north"]


class Contexts(nn.Module):
    """A CLIP text model whose texts begin with learned contexts, of which no token is read."""

    def __init__(self, text_model: Any) -> None:
        super().__init__()
        self.text_model = text_model
        self.contexts = nn.Parameter(torch.randn(CONTEXTS, 32))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, tokens, dim) of the tokens alone."""
        table, positions = self.text_model.embeddings.token_embedding, self.text_model.embeddings.position_embedding
        words = table(input_ids)
        learned = self.contexts[None].expand(words.shape[0], -1, -1)
        whole = torch.cat([words[:, :1], learned, words[:, 1:]], dim=1)
        length = whole.shape[1]
        x = whole + positions.weight[:length][None]
        places = torch.arange(length)
        seen = torch.cat([attention_mask[:, :1].expand(-1, 1 + CONTEXTS), attention_mask[:, 1:]], dim=1).float()
        later = (places[None, :] > places[:, None]).float()[None, None]
        bias = torch.clamp(later + (1.0 - seen)[:, None, None, :], max=1.0) * -1e9
        for layer in self.text_model.encoder.layers:
            out = layer(x, attention_mask=bias)
            x = out if isinstance(out, Tensor) else out[0]
        x = self.text_model.final_layer_norm(x)
        return torch.cat([x[:, :1], x[:, 1 + CONTEXTS :]], dim=1)


class Refined(nn.Module):
    """A class's vector and a picture's places -> the vector, moved by what it sees of these."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(DIM, DIM) for _ in range(3))
        self.gamma = nn.Parameter(torch.full((DIM,), 0.5))

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        """(batch, 2, dim), both rows equal."""
        twice = text[:, None].expand(-1, 2, -1)
        scores = torch.matmul(self.q(twice), self.k(image).transpose(1, 2)) / DIM**0.5
        return twice + self.gamma * torch.matmul(scores.softmax(dim=-1), self.v(image))


class DenseClip(nn.Module):
    def __init__(self, clip: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.texts, self.image, self.refined = Contexts(clip.text_model), clip.vision_model, Refined()
        self.visual_projection, self.text_projection = clip.visual_projection, clip.text_projection


@pytest.fixture(scope="module")
def clip() -> tuple[Any, Any, Any]:
    return pair("clip")


@pytest.fixture(scope="module")
def live(clip: tuple[Any, Any, Any]) -> DenseClip:
    return DenseClip(clip[0]).eval()


@pytest.fixture(scope="module")
def bundle(live: DenseClip, clip: tuple[Any, Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    normal = {"kind": "normalize"}

    class Processor:
        image_processor, tokenizer = clip[2], clip[1]

    recipe = Recipe(
        roles={
            "query": Role(module="texts", max_tokens=10, pooling="last", stages=[live.text_projection, normal]),
            "document": Role(
                module="image",
                image="auto",
                pooling="first",
                stages=[live.visual_projection, normal],
                outputs={
                    "map": {"kind": "map", "grid": [GRID, GRID], "skip": 1, "stages": [live.visual_projection, normal]},
                    "places": {"kind": "tokens", "count": GRID**2 + 1, "stages": [live.visual_projection, normal]},
                },
            ),
            "refined": Role(
                module="refined",
                parts={
                    "text": Role(features=FeaturesInput(shape=[DIM])),
                    "image": Role(features=FeaturesInput(shape=[GRID**2 + 1, DIM])),
                },
                pooling="first",
                stages=[normal],
            ),
        },
        cross={
            "text": CrossOf(tower="refined", takes={"text": "query.dense", "image": "document.places"}, stored="image")
        },
    )
    return embedkit_export.export(
        (live, Processor()),
        output=tmp_path_factory.mktemp("dense") / "bundle",
        recipe=recipe,
        timing=False,
        variants=["fp32"],
        sample=sample(tmp_path_factory.mktemp("sample")),
    ).path


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder.load(bundle, variant="fp32")


def by_torch(live: DenseClip, clip: tuple[Any, Any, Any], *, contexts: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors of the classes, places of the pictures, and score maps (n, h, w, k)."""
    with torch.no_grad():
        vectors = []
        for name in CLASSES:
            ids = clip[1](name, return_tensors="pt")["input_ids"]
            plain = live.texts.text_model(input_ids=ids).last_hidden_state
            hidden = live.texts(ids, torch.ones_like(ids)) if contexts else plain
            vectors.append(nn.functional.normalize(live.text_projection(hidden[0, -1]), dim=-1))
        words = torch.stack(vectors)
        places = []
        for picture in PICTURES:
            values = clip[2](picture, return_tensors="pt")["pixel_values"]
            hidden = live.image(pixel_values=values).last_hidden_state[0]
            places.append(nn.functional.normalize(live.visual_projection(hidden), dim=-1))
        seen = torch.stack(places)
        layers = live.refined
        maps = []
        for one in seen:
            scores = (layers.q(words) @ layers.k(one).T / DIM**0.5).softmax(dim=-1)
            refined = nn.functional.normalize(words + layers.gamma * (scores @ layers.v(one)), dim=-1)
            maps.append(torch.einsum("pd,kd->pk", one[1:], refined).reshape(GRID, GRID, -1))
    return words, seen, torch.stack(maps)


def test_the_score_maps_are_those_of_torch(live: DenseClip, clip: tuple[Any, Any, Any], encoder: Encoder) -> None:
    words, seen, expected = by_torch(live, clip)
    assert np.abs(encoder.encode_query(CLASSES) - words.numpy()).max() < 1e-4
    found = encoder.encode_outputs(PICTURES, role="document")
    assert found["map"].shape == (3, GRID, GRID, DIM)
    assert np.abs(found["map"].reshape(3, -1, DIM) - seen[:, 1:].numpy()).max() < 1e-4
    scorer = CrossScorer(encoder, "text")
    maps = np.zeros((3, GRID, GRID, len(CLASSES)), np.float32)
    for k, name in enumerate(CLASSES):
        refined = scorer.values(name, found["places"])
        for n in range(3):
            maps[n, ..., k] = embedkit.score_maps(found["map"][n : n + 1], refined[n : n + 1])[0, ..., 0]
    assert np.abs(maps - expected.numpy()).max() < 1e-4
    # Neg: contexts that are left out, and places counted column by column, are something else.
    assert np.abs(by_torch(live, clip, contexts=False)[2].numpy() - maps).max() > 1e-3
    assert np.abs(maps.transpose(0, 2, 1, 3) - expected.numpy()).max() > 1e-2


def test_a_map_does_not_depend_on_its_company(encoder: Encoder, bundle: Path) -> None:
    together = encoder.encode(PICTURES, role="document", output="map")
    for picture, one in zip(PICTURES, together, strict=True):
        assert encoder.encode(picture, role="document", output="map").tobytes() == one.tobytes()
    assert embedkit.verify(bundle).passed
    assert embedkit.Bundle.open(bundle).tower("document").outputs["map"].grid == [GRID, GRID]
    assert VIT["image_size"] // VIT["patch_size"] == GRID
