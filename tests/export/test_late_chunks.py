"""Late chunks against transformers: the whole document through the model, and the mean over each chunk's tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

import embedkit
from embedkit import Chunking, Encoder, chunked
from embedkit.runtime.verification import verify
from helpers import models
from helpers.systems import export

TEXT = " ".join(models.SENTENCES)
SHORT = TEXT[:150]
RECIPE = """
stages = [{kind = "linear", weights = "layer.safetensors"}, {kind = "normalize"}]
[outputs.states]
kind = "tokens"
pooled = true
[roles.query]
template = "query: {text}"
[roles.document]
template = "passage: {text}"
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = models.save("bert", tmp_path_factory.mktemp("model") / "bert", layers=2)
    layer = torch.nn.Linear(64, 32)
    save_file({"weight": layer.weight.detach(), "bias": layer.bias.detach()}, folder / "layer.safetensors")
    return folder


@pytest.fixture(scope="module")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late")
    return export(str(model), RECIPE, folder, variants=("fp32", "int8")).bundle.folder


def reference(model: Path, text: str, spans: list[tuple[int, int]]) -> np.ndarray:
    """(spans, 32): means over tokens of one pass of transformers, then the layer and unit length. The first part has the special token
    and the prompt too, the last the special token at the end."""
    prompt = "passage: "
    tokenizer, torch_model = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    given = tokenizer(prompt + text, return_tensors="pt", return_offsets_mapping=True)
    offsets = given.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        hidden = torch_model(**given).last_hidden_state[0]
    from safetensors.torch import load_file

    layer = load_file(model / "layer.safetensors")
    rows = []
    for number, (start, end) in enumerate(spans):
        own = [i for i, (a, b) in enumerate(offsets) if a < b and a < end + len(prompt) and b > start + len(prompt)]
        first = 0 if number == 0 else own[0]
        last = len(offsets) if number == len(spans) - 1 else own[-1] + 1
        mean = layer["weight"] @ hidden[first:last].mean(dim=0) + layer["bias"]
        rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


def pieces(encoder: Encoder, text: str, size: int) -> list[tuple[int, int]]:
    return [(row.metadata["start"], row.metadata["end"]) for row in chunked([text], encoder, Chunking(size))]


def test_chunks_of_a_document_that_the_model_reads_whole(model: Path, bundle: Path) -> None:
    encoder = Encoder.load(bundle, variant="fp32", threads=1)
    spans = pieces(encoder, SHORT, 9)
    assert len(spans) > 2
    found = embedkit.encode_spans(encoder, SHORT, spans)
    assert np.abs(found - reference(model, SHORT, spans)).max() < 1e-5
    plain = encoder.encode_document([SHORT[start:end] for start, end in spans])
    assert (found * plain).sum(axis=1).min() < 0.999
    assert verify(bundle).passed


def test_chunks_of_a_longer_one(model: Path, bundle: Path) -> None:
    """Each part is a document of its own to transformers."""
    encoder = Encoder.load(bundle, variant="fp32", threads=1)
    rows = list(chunked([TEXT], encoder, Chunking(9, late=True)))
    found = embedkit.encode_spans(encoder, TEXT, [(row.metadata["start"], row.metadata["end"]) for row in rows])
    texts = list(dict.fromkeys(row.within.text for row in rows if row.within))
    assert len(texts) > 2
    for number, row in enumerate(rows):
        assert row.within is not None
        start, end, text = row.within.start, row.within.end, row.within.text
        # Between two others the border tokens go with neither, so the reference is of three parts.
        around = [(0, max(start, 1)), (start, end), (end, len(text))]
        edges = [(start > 0), True, (end < len(text))]
        kept = [span for span, there in zip(around, edges, strict=True) if there]
        place = int(start > 0)
        expected = reference(model, text, kept)[place]
        assert np.abs(found[number] - expected).max() < 1e-5


def test_int8_is_near_and_does_not_depend_on_the_batch(bundle: Path) -> None:
    exact, rounded = (Encoder.load(bundle, variant=name, threads=1) for name in ("fp32", "int8"))
    assert "int8" in rounded.bundle.manifest.towers["default"].graph.variants
    spans = pieces(exact, SHORT, 9)
    near = (embedkit.encode_spans(exact, SHORT, spans) * embedkit.encode_spans(rounded, SHORT, spans)).sum(axis=1)
    assert near.min() > 0.98
    quality = rounded.bundle.manifest.towers["default"].graph.variants["int8"].quality
    assert quality.measures["states: worst cosine"] > 0.98
    alone = embedkit.encode_spans(rounded, SHORT, spans[1:2])
    assert alone.tobytes() == embedkit.encode_spans(rounded, SHORT, spans)[1:2].tobytes()
