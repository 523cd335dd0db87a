"""What is read from a sentence-transformers model, and what is refused; the reference is SentenceTransformer itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling, Transformer

import embedkit_export
from embedkit import Encoder, ExportError
from embedkit_export import recipe
from export import models
from texts import mixed

TEXTS = ["", "a", *mixed(40, longest=80, seed=9), *models.SENTENCES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("recipe") / "bert")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "texts.txt"
    path.write_text("\n".join(mixed(60, longest=30, seed=4)))
    return path


def build(folder: Path, *rest: Any, pooling: Any = "mean", **options: Any) -> SentenceTransformer:
    transformer = Transformer(str(folder), max_seq_length=options.pop("max_seq_length", None))
    parts = [
        transformer,
        Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling, **options.pop("pool", {})),
        *rest,
    ]
    return SentenceTransformer(modules=parts, device="cpu", **options)


def test_stages_and_prompts(folder: Path, sample: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build(
        folder,
        Dense(64, 48, activation_function=torch.nn.Tanh()),
        LayerNorm(48),
        Dense(48, 24, bias=False, activation_function=torch.nn.Identity()),
        Normalize(),
        prompts={"query": "how do I ", "document": "a recipe: ", "passage": "p: ", "topic": "topic | "},
        default_prompt_name="topic",
        max_seq_length=40,
    )
    expected = {
        "default": model.encode(TEXTS),
        "query": model.encode_query(TEXTS),
        "document": model.encode_document(TEXTS),
        "topic": model.encode(TEXTS, prompt_name="topic"),
        "passage": model.encode(TEXTS, prompt_name="passage"),
    }
    implementation = model[0].auto_model.config._attn_implementation
    report = embedkit_export.export(model, output=tmp_path / "bundle", sample=sample)
    assert model[0].auto_model.config._attn_implementation == implementation, "a live model is left as it is"
    assert np.array_equal(model.encode(TEXTS), expected["default"])
    encoder = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore")
    assert encoder.max_tokens == 40
    assert encoder.dim == 24
    for role, vectors in expected.items():
        assert np.abs(encoder.encode(TEXTS, role=role) - vectors).max() < 1e-4, role
    assert np.abs(expected["query"] - expected["document"]).max() > 1e-2
    assert np.array_equal(encoder.encode_query(TEXTS), encoder.encode(TEXTS, role="query"))
    assert report.manifest.towers["query"].like == "default"
    assert any("the prompt 'passage' is the role 'passage'" in note for note in report.notes)
    saved = tmp_path / "saved"
    model.save(str(saved))
    again = embedkit_export.export(saved, output=tmp_path / "again", sample=sample)
    assert again.manifest.fingerprint == report.manifest.fingerprint


def test_dense_with_a_residual(folder: Path, sample: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = build(folder, Dense(64, 64, use_residual=True), Dense(64, 16, use_residual=True), pooling="cls")
    embedkit_export.export(model, output=tmp_path / "bundle", sample=sample)
    found = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore").encode(TEXTS)
    assert np.abs(found - model.encode(TEXTS)).max() < 1e-4


def test_dot_product_models_stay_unnormalised(folder: Path, sample: Path, tmp_path: Path) -> None:
    model = build(folder, similarity_fn_name="dot")
    report = embedkit_export.export(model, output=tmp_path / "bundle", sample=sample)
    encoder = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore")
    assert encoder.metric == "dot"
    assert not next(iter(report.manifest.towers["default"].outputs.values())).normalized
    vectors = encoder.encode(TEXTS)
    assert np.ptp(np.linalg.norm(vectors, axis=1)) > 1e-3
    assert np.allclose(encoder.similarity(vectors, vectors), model.similarity(vectors, vectors), rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: build(f, pooling="lasttoken"), "pooling: expected one of cls, mean, max; found 'lasttoken'"),
        (lambda f: build(f, pooling=("mean", "cls")), "pooling: expected one of cls, mean, max; found"),
        (lambda f: build(f, similarity_fn_name="euclidean"), "similarity: expected cosine or dot, found 'euclidean'"),
        (lambda f: build(f, pool={"include_prompt": False}, prompts={"query": "q: "}), "include_prompt=False"),
        (lambda f: SentenceTransformer(modules=[Transformer(str(f))], device="cpu"), "expected Transformer, Pooling"),
        (
            lambda f: SentenceTransformer(modules=[modules.BoW(["a", "b"])], device="cpu"),
            "expected Transformer, Pooling",
        ),
        (
            lambda f: build(f, modules.Router({"a": [Normalize()]}, default_route="a")),
            "cannot export the module Router",
        ),
    ],
)
def test_what_cannot_be_exported_is_named(folder: Path, make: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        recipe.read(make(folder))


def test_max_tokens(folder: Path, sample: Path, tmp_path: Path) -> None:
    model = build(folder, Normalize())
    embedkit_export.export(model, output=tmp_path / "bundle", sample=sample, max_tokens=9)
    model.max_seq_length = 9
    encoder = Encoder.load(tmp_path / "bundle", variant="fp32", on_truncate="ignore")
    assert encoder.max_tokens == 9
    assert np.abs(encoder.encode(TEXTS) - model.encode(TEXTS)).max() < 1e-4
