"""COSMO (Wang et al. 2024): the first layers of a language model, of which one learned latent reads all places, padding too; and
a perceiver of a picture's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

import embedkit_export
from embedkit import Encoder, ExportError
from embedkit_export import Pooling, Recipe, Surgery
from helpers import models, systems
from helpers.image_models import saved, single
from helpers.pictures import drawn
from helpers.slow import but
from helpers.systems import TEXTS, agree, apart

WIDTH, HEADS, KEPT, LENGTH, LATENTS, DIM = 64, 4, 2, 24, 3, 20
PICTURES = [drawn(60, 40, 1), drawn(31, 77, 2), drawn(200, 200, 3), drawn(33, 32, 5), drawn(90, 45, 6)]


class Reader(nn.Module):
    """Learned latents attend to all tokens, as the authors write it, then a feed-forward with a residual."""

    def __init__(self, latents: int, width: int) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.randn(latents, width))
        self.to_q, self.to_kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norm, self.project = nn.LayerNorm(width), nn.Linear(width, DIM)

    def read(self, hidden: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, latents, width)."""
        batch = hidden.shape[0]
        q = self.to_q(self.latent).expand(batch, -1, -1)
        k, v = self.to_kv(hidden).chunk(2, dim=-1)
        q, k, v = (x.reshape(batch, x.shape[1], HEADS, -1).transpose(1, 2) for x in (q, k, v))
        seen = ((q @ k.transpose(2, 3)) * q.shape[-1] ** -0.5).softmax(dim=-1) @ v
        return self.to_out(seen.transpose(1, 2).reshape(batch, len(self.latent), -1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, tokens, width) -> (batch, latents, width), each with its feed-forward."""
        seen = self.read(hidden)
        return seen + self.down(nn.functional.gelu(self.up(seen)))

    def end(self, vectors: Tensor) -> Tensor:
        return self.project(self.norm(vectors))


@pytest.fixture(scope="module")
def reader() -> Reader:
    torch.manual_seed(3)
    return Reader(1, WIDTH).eval()


def recipe(**changed: Any) -> Recipe:
    """How the texts are exported."""
    pooling = Pooling(mode="attention", weights="reader.safetensors:", heads=HEADS, padding=True)
    stages = [
        {"kind": "mlp", "weights": ["reader.safetensors:up", "reader.safetensors:down"], "residual": True},
        {"kind": "layer_norm", "weights": "reader.safetensors:norm"},
        {"kind": "linear", "weights": "reader.safetensors:project"},
    ]
    given = {"surgery": Surgery(layers=KEPT), "pad": LENGTH, "pooling": pooling, "stages": stages} | changed
    return Recipe(**given)


def padded(folder: Path, length: int = LENGTH) -> dict[str, Tensor]:
    """Ids and mask of the texts, all of one length."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    given = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    return {name: given[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("family", but(["gpt2"], ["gpt2", "opt"]))
def test_texts(family: str, reader: Reader, tmp_path: Path) -> None:
    more = {"do_layer_norm_before": True} if family == "opt" else {}
    folder = models.save(family, tmp_path / family, layers=4, **more)
    save_file(
        {name: tensor.detach().clone() for name, tensor in reader.state_dict().items()}, folder / "reader.safetensors"
    )
    whole = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = whole(**padded(folder), output_hidden_states=True).hidden_states
        encoder = systems.export(folder, recipe(), tmp_path)
        found = agree(encoder, TEXTS, reader.end(reader(states[KEPT]))[:, 0])
        # Neg: another layer, the norm that follows the last one, another length, and a reader that sees no padding.
        assert apart(found, reader.end(reader(states[KEPT + 1]))[:, 0]) > 1e-2
        norm = whole.ln_f if family == "gpt2" else whole.decoder.final_layer_norm
        assert apart(found, reader.end(reader(norm(states[KEPT])))[:, 0]) > 1e-2
        longer = whole(**padded(folder, LENGTH + 8), output_hidden_states=True).hidden_states[KEPT]
        assert apart(found, reader.end(reader(longer))[:, 0]) > 1e-2
        short, mask = states[KEPT][:1], padded(folder)["attention_mask"][0]
        assert apart(found[:1], reader.end(reader(short[:, mask == 1]))[:, 0]) > 1e-2


def test_a_latent_that_reads_padding_needs_a_length(reader: Reader, tmp_path: Path) -> None:
    folder = models.save("gpt2", tmp_path / "gpt2", layers=4)
    save_file(
        {name: tensor.detach().clone() for name, tensor in reader.state_dict().items()}, folder / "reader.safetensors"
    )
    with pytest.raises(ExportError, match=r"give a fixed length \(pad = N\)"):
        embedkit_export.prepare(folder, recipe=recipe(pad=None))


def test_pictures(tmp_path: Path) -> None:
    model, processor = single("clip")
    source = saved(tmp_path / "vision", model, processor)
    torch.manual_seed(4)
    perceiver = Reader(LATENTS, 32).eval()
    given = Recipe(token_stages=[perceiver], pooling="mean", stages=[perceiver.norm, perceiver.project])
    report = embedkit_export.export(source, recipe=given, output=tmp_path / "bundle", variants=["fp32"], timing=False)
    encoder = Encoder.load(report.path, variant="fp32", threads=1)
    with torch.no_grad():
        pixels = torch.cat([processor(picture, return_tensors="pt")["pixel_values"] for picture in PICTURES])
        hidden = model.vision_model(pixel_values=pixels).last_hidden_state
        latents = perceiver(hidden)
        assert latents.shape[1] == LATENTS
        found = agree(encoder, PICTURES, perceiver.end(latents.mean(dim=1)))
        # Neg: the mean of the tokens themselves, and without the class token.
        assert apart(found, perceiver.end(hidden.mean(dim=1))) > 1e-2
        assert apart(found, perceiver.end(perceiver(hidden[:, 1:]).mean(dim=1))) > 1e-4
    assert np.isfinite(found).all()
