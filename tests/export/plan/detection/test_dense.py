"""Modules of sentence-transformers, saved and loaded by it, against its own encode, encode_query and encode_document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer import modules as st
from torch import nn

import embedkit_export
from embedkit import Encoder, ExportError
from embedkit_export import Gates
from helpers import models, slow, systems

TEXTS = [*models.SENTENCES, "ok", " ".join(models.SENTENCES)]
ACTIVATIONS = (
    nn.Tanh, nn.Identity, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.SELU, nn.Mish, nn.Softplus, nn.Hardswish,
    nn.Softsign, nn.LogSigmoid,
)  # fmt: skip


def transformer(folder: Path, family: str = "bert", **config: Any) -> Transformer:
    return Transformer(str(models.save(family, folder, **config)))


def dense(seed: int, out: int = 32, **options: Any) -> Dense:
    torch.manual_seed(seed)
    made = Dense(64, out, **options)
    with torch.no_grad():
        made.linear.weight.mul_(2)
    return made


def check(modules: list[Any], folder: Path, variants: list[str] | None = None, **options: Any) -> Encoder:
    """Save, load, export; every role's vectors are the model's own, whatever shares their batch."""
    SentenceTransformer(modules=modules, device="cpu", **options).save_pretrained(str(folder / "saved"))
    report = embedkit_export.export(
        folder / "saved",
        output=folder / "bundle",
        variants=variants or ["fp32"],
        sample=systems.sample(folder),
        timing=False,
        gates=Gates(cosine_min=0.5),
    )
    assert not report.missing
    model = SentenceTransformer(str(folder / "saved"), device="cpu")
    encoder = Encoder.load(report.path, variant="fp32", on_truncate="ignore")
    ways: dict[str, Callable[..., Any]] = {
        "default": model.encode,
        "query": model.encode_query,
        "document": model.encode_document,
    }
    for role, way in ways.items():
        expected = np.stack([way(text) for text in TEXTS])
        assert np.ptp(expected, axis=0).max() > 0.01, "alike vectors prove nothing"
        systems.agree(encoder, TEXTS, expected, role=role)
    return encoder


@pytest.mark.slow
def test_routes_with_backbones_of_their_own(tmp_path: Path) -> None:
    """Other families, tokenizers, lengths, pooling and Dense; what follows the router is shared."""
    query = transformer(tmp_path / "query", "mpnet", seed=1)
    query.max_seq_length = 16
    document = transformer(tmp_path / "document", "bert", seed=2)
    router = Router.for_query_document(
        [query, st.Pooling(64, "cls"), dense(3)],
        [document, dense(4, 64, module_input_name="token_embeddings"), st.Pooling(64, "mean"), dense(5)],
    )
    encoder = check([router, Normalize()], tmp_path, prompts={"query": "find: ", "document": "read: "})
    ends = [encoder.encode([TEXTS[-1]], role=role)[0] for role in ("query", "document")]
    assert float(ends[0] @ ends[1]) < 0.99


def test_routes_after_a_shared_backbone(tmp_path: Path) -> None:
    modules = [transformer(tmp_path / "bert"), st.Pooling(64, "mean")]
    check([*modules, Router.for_query_document([dense(1)], [dense(2), st.LayerNorm(32)])], tmp_path)


def static(folder: Path, dim: int = 64) -> st.StaticEmbedding:
    tokenizer = models.make_tokenizer("word")
    torch.manual_seed(7)
    return st.StaticEmbedding(tokenizer, embedding_weights=torch.randn(len(tokenizer), dim))


def test_a_table_of_tokens_for_queries(tmp_path: Path) -> None:
    document = [transformer(tmp_path / "bert"), st.Pooling(64, "mean")]
    router = Router.for_query_document([static(tmp_path)], document)
    check([router, Normalize()], tmp_path, ["fp32", "int8"])
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "bundle").glob("model*.onnx")}
    shrunk = [sizes[name] < sizes[name.replace("int8", "fp32")] for name in sorted(sizes) if "int8" in name]
    assert sorted(shrunk) == [False, True], "the table alone stays as it is"


def test_a_table_of_tokens_alone(tmp_path: Path) -> None:
    """Long texts are read whole, special tokens are not read, and the table shrinks to a quarter."""
    check([static(tmp_path, 1024), Normalize()], tmp_path, ["fp32", "w8"])
    sizes = [(tmp_path / "bundle" / f"model.{name}.onnx").stat().st_size for name in ("fp32", "w8")]
    assert sizes[1] < 0.35 * sizes[0]
    report = embedkit_export.export(
        tmp_path / "saved", output=tmp_path / "default", sample=systems.sample(tmp_path), timing=False
    )
    assert not report.missing
    assert (
        "int8: the graph has no product of token vectors with a weight, and too few convolutions, to quantise; fp32 is as fast"
        in report.notes
    )
    report = embedkit_export.export(
        tmp_path / "saved",
        output=tmp_path / "asked",
        sample=systems.sample(tmp_path),
        variants=["fp32", "int8"],
        timing=False,
    )
    assert report.missing["int8"].startswith("int8: the graph has no product")
    long = [" ".join(models.SENTENCES * 100)]
    expected = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(long)
    assert np.abs(Encoder.load(tmp_path / "bundle", variant="fp32").encode(long) - expected).max() < 1e-5


@pytest.mark.parametrize("states", slow.but([False], [True, False]))
def test_weighted_layers(states: bool, tmp_path: Path) -> None:
    """A model that gives no hidden states is left as it is, as in sentence-transformers."""
    first = transformer(tmp_path / "bert", layers=3, output_hidden_states=states)
    weights = nn.Parameter(torch.tensor([0.5, 2.0, 1.0]))
    weighted = st.WeightedLayerPooling(64, num_hidden_layers=3, layer_start=1, layer_weights=weights)
    check([first, weighted, st.Pooling(64, "mean")], tmp_path)


def test_every_activation(tmp_path: Path) -> None:
    """Each Dense adds to what it was given, so that none hides the one before it."""
    stages: list[Any] = [st.LayerNorm(64)]
    for seed, kind in enumerate(ACTIVATIONS):
        stages += [dense(seed, 64, activation_function=kind(), use_residual=True), st.Dropout(0.3)]
    stages += [dense(50, 24, use_residual=True, bias=False), Normalize()]
    check([transformer(tmp_path / "bert"), st.Pooling(64, "mean"), *stages], tmp_path)


@pytest.mark.slow
def test_prompts_that_are_not_pooled(tmp_path: Path) -> None:
    first = transformer(tmp_path / "bert")
    pool = st.Pooling(64, ("mean", "max", "weightedmean"), include_prompt=False)
    check([first, pool], tmp_path, prompts={"query": "a question: ", "document": "rain: "}, default_prompt_name="query")


def test_token_vectors_of_unit_length(tmp_path: Path) -> None:
    check([transformer(tmp_path / "bert"), Normalize("token_embeddings"), st.Pooling(64, "mean")], tmp_path)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            lambda first: [first, st.LSTM(64, 32), st.Pooling(64)],
            "cannot export the module LSTM: it reads a text backwards",
        ),
        (lambda first: [first, st.CNN(64, 32), st.Pooling(96)], "cannot export the module CNN: .* depend on its batch"),
        (lambda first: [st.BoW(["rain", "wind"])], "cannot export the module BoW: it splits texts into words"),
        (
            lambda first: [first, st.Pooling(64), Normalize("token_embeddings")],
            "Normalize module here is expected to be over the sentence vector",
        ),
        (
            lambda first: [Router({"query": [first, st.Pooling(64)]})],
            "Router: role 'document' has no route: .*name a route 'document'",
        ),
        (
            lambda first: [
                Router({name: [first, st.Pooling(64)] for name in ("query", "document")}, allow_empty_key=False)
            ],
            "Router: role 'default' has no route: .*give the router a default_route",
        ),
    ],
)
def test_modules_that_are_refused(modules: Callable[[Any], list[Any]], message: str, tmp_path: Path) -> None:
    model = SentenceTransformer(modules=modules(transformer(tmp_path / "bert")), device="cpu")
    with pytest.raises(ExportError, match=message):
        embedkit_export.prepare(model)
