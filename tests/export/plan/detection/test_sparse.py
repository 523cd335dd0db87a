"""Sparse vectors from a language model's head: SPLADE-like encoders, and dense and sparse from one pass of a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers as st
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import embedkit_export
from embedkit.errors import InputError
from embedkit.ingestion import ingest
from embedkit.runtime.verification import verify
from embedkit.vectors.sparse import SparseVectors
from embedkit_export.recipes.recipe import Recipe
from helpers import models, slow
from helpers.systems import LENGTHS, PROMPTREPS, STOPWORDS, TEMPLATE, TEXTS, WORDS, export, load, sample

FAMILIES = ("bert", "distilbert", "roberta", "deberta-v2", "modernbert")


def splade(family: str, folder: Path, **pooling: Any) -> Any:
    """A SparseEncoder with random weights."""
    body = models.save(family, folder, head="ForMaskedLM")
    transformer = st.base.modules.Transformer(str(body), transformer_task="fill-mask", max_seq_length=32)
    made = st.sparse_encoder.modules.SpladePooling(**pooling)
    return st.SparseEncoder(modules=[transformer, made], device="cpu")


def of_torch(model: Any, texts: list[str], **options: Any) -> np.ndarray:
    """(n, vocabulary) weights, each text by itself."""
    rows = [model.encode([text], convert_to_sparse_tensor=False, **options)[0] for text in texts]
    return torch.stack(rows).numpy()


def same(encoder: Any, texts: list[str], expected: np.ndarray, **options: Any) -> SparseVectors:
    """The weights of the texts: those expected, and of each text alone, or in another order, the same bytes."""
    found: SparseVectors = encoder.encode(texts, **options)
    assert found.shape == expected.shape
    assert np.abs(found.dense() - expected).max() < 1e-4
    assert encoder.encode(texts[::-1], **options)[np.arange(len(texts))[::-1]] == found
    for i, text in enumerate(texts):
        assert encoder.encode(text, **options) == found[i : i + 1]
    return found


@pytest.mark.parametrize("family", slow.but(("bert", "modernbert"), FAMILIES))
def test_the_weights_of_every_family_are_those_of_torch(family: str, tmp_path: Path) -> None:
    model = splade(family, tmp_path / "body")
    model.save_pretrained(str(tmp_path / "model"))
    encoder = export(str(tmp_path / "model"), None, tmp_path / "out")
    assert encoder.kind == "sparse"
    found = same(encoder, TEXTS, of_torch(model, TEXTS))
    assert 0 < len(found.values) < len(TEXTS) * found.dim
    assert np.allclose(encoder.similarity(found, found), found.dense() @ found.dense().T, atol=1e-3)


@pytest.mark.parametrize(
    ("pooling", "top"),
    [({"pooling_strategy": "sum"}, None), ({"activation_function": "log1p_relu"}, None), ({}, 7)],
)
def test_poolings_and_the_largest_weights(pooling: dict[str, Any], top: int | None, tmp_path: Path) -> None:
    model = splade("bert", tmp_path / "body", **pooling)
    model.max_active_dims = top
    encoder = export(model, None, tmp_path)
    found = same(encoder, TEXTS, of_torch(model, TEXTS))
    if top is not None:
        assert np.diff(found.offsets).max() == top
        assert encoder.outputs()["sparse"].top == top


def test_a_plain_folder_and_its_int8(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "model", head="ForMaskedLM", hidden=128)
    report = embedkit_export.export(
        folder, output=tmp_path / "bundle", kind="sparse", sample=sample(tmp_path), timing=False
    )
    assert not report.missing
    quality = report.manifest.towers["default"].graph.variants["int8"].quality  # type: ignore[union-attr]
    assert quality.measures["top-32 words"] > 0.8
    expected = of_torch(st.SparseEncoder(str(folder), device="cpu"), TEXTS)
    same(load(report.path), TEXTS, expected)
    int8 = load(report.path, "int8").encode(TEXTS)
    for i, text in enumerate(TEXTS):
        assert load(report.path, "int8").encode(text) == int8[i : i + 1]
    assert verify(report.path).passed


def test_prompts_of_queries_and_documents(tmp_path: Path) -> None:
    model = splade("bert", tmp_path / "body")
    model.prompts = {"query": "the harbour: ", "document": ""}
    encoder = export(model, None, tmp_path)
    same(encoder, TEXTS, of_torch(model, TEXTS, prompt_name="query"), role="query")
    same(encoder, TEXTS, of_torch(model, TEXTS), role="document")


def inference_free(folder: Path) -> Any:
    """Questions by a table of words, documents by SPLADE, as opensearch's encoders are."""
    body = models.save("bert", folder, head="ForMaskedLM")
    transformer = st.base.modules.Transformer(str(body), transformer_task="fill-mask", max_seq_length=32)
    tokenizer = AutoTokenizer.from_pretrained(body)
    weight = torch.rand(len(tokenizer), generator=torch.Generator().manual_seed(0)) * 3
    table = st.sparse_encoder.modules.SparseStaticEmbedding(tokenizer, weight=weight, frozen=True)
    document = [transformer, st.sparse_encoder.modules.SpladePooling("max")]
    router = st.base.modules.Router.for_query_document(query_modules=[table], document_modules=document)
    return st.SparseEncoder(modules=[router], device="cpu")


def test_questions_by_a_table_and_documents_by_a_model(tmp_path: Path) -> None:
    inference_free(tmp_path / "body").save_pretrained(str(tmp_path / "model"))
    model = st.SparseEncoder(str(tmp_path / "model"), device="cpu")
    encoder = export(str(tmp_path / "model"), None, tmp_path / "out")
    same(encoder, TEXTS, of_torch(model, TEXTS, task="document"), role="document")
    asked = same(encoder, TEXTS, of_torch(model, TEXTS, task="query"), role="query")
    assert encoder.encode(TEXTS[:3], role="query") == asked[:3]
    assert encoder.encode([f"{text} {text}" for text in TEXTS[:3]], role="query") == asked[:3]  # a word counts once
    assert encoder.bundle.tower("query").graph != encoder.bundle.tower("document").graph


@pytest.mark.parametrize(("normalize", "top"), [(True, None), (False, 5)])
def test_latents_of_an_autoencoder(normalize: bool, top: int | None, tmp_path: Path) -> None:
    transformer = st.base.modules.Transformer(str(models.save("bert", tmp_path / "body")), max_seq_length=32)
    coder = st.sparse_encoder.modules.SparseAutoEncoder(64, hidden_dim=256, k=12, k_aux=16, normalize=normalize)
    with torch.no_grad():
        coder.pre_bias.normal_(0, 0.2)
        coder.latent_bias.normal_(0, 0.2)
    pooling = st.sentence_transformer.modules.Pooling(64, pooling_mode="mean")
    made = st.SparseEncoder(modules=[transformer, pooling, coder], device="cpu", similarity_fn_name="cosine")
    made.max_active_dims = top or made.max_active_dims
    made.save_pretrained(str(tmp_path / "model"))
    model = st.SparseEncoder(str(tmp_path / "model"), device="cpu")
    encoder = export(str(tmp_path / "model"), None, tmp_path / "out")
    expected = of_torch(model, TEXTS)
    found = same(encoder, TEXTS, expected)
    assert np.diff(found.offsets).max() <= (top or 12)
    near = model.similarity(torch.from_numpy(expected), torch.from_numpy(expected)).numpy()
    assert np.abs(encoder.similarity(found, found) - near).max() < 1e-5
    with pytest.raises(InputError, match="compared by cosine"):
        ingest([{"id": "1", "text": "tea"}], encoder, "memory://", collection="docs")


# PromptReps: the last token's state is the dense vector, its logits on the text's own words the sparse one.


def promptreps(folder: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """The published recipe, by hand: (dim,) and (vocabulary,)."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    before, _, after = TEMPLATE.partition("{text}")
    whole = tokenizer(before + text + after, return_offsets_mapping=True)
    ids, spans = whole["input_ids"], whole["offset_mapping"]
    inside = [start < len(before) + len(text) and end > len(before) for start, end in spans]
    while len(ids) > 48:
        last = max(i for i, own in enumerate(inside) if own)
        ids, inside = ids[:last] + ids[last + 1 :], inside[:last] + inside[last + 1 :]
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    weights = np.log1p(np.maximum(out.logits[0, -1].numpy(), 0.0)) * 100
    own = {
        token
        for token, is_own in zip(ids, inside, strict=True)
        if is_own and tokenizer.decode([token]).strip().lower() not in STOPWORDS
    }
    kept = sorted(own, key=lambda token: (-weights[token], token))[:6]
    sparse = np.zeros_like(weights)
    sparse[kept] = weights[kept]
    return out.hidden_states[-1][0, -1].numpy(), sparse


@pytest.mark.parametrize("family", ["qwen3"])
@pytest.mark.slow
def test_dense_and_sparse_of_one_pass_of_a_decoder(family: str, tmp_path: Path) -> None:
    folder = models.save(family, tmp_path / "model", head="ForCausalLM", hidden=128)
    recipe = Recipe(
        **{**{f: getattr(PROMPTREPS, f) for f in PROMPTREPS.__struct_fields__}, "model_class": "AutoModelForCausalLM"}
    )
    encoder = export(folder, recipe, tmp_path, variants=("fp32", "int8"))
    assert list(encoder.outputs()) == ["dense", "sparse"]
    texts = [text for text in TEXTS if text.split()[0] not in STOPWORDS]
    assert max(LENGTHS) > 48
    expected = [promptreps(folder, text) for text in texts]
    found = encoder.encode_outputs(texts)
    dense, sparse = np.stack([a for a, _ in expected]), np.stack([b for _, b in expected])
    assert np.abs(found["dense"] - dense).max() < 1e-4
    assert isinstance(found["sparse"], SparseVectors)
    assert np.abs(found["sparse"].dense() - sparse).max() < 1e-4 * 100
    assert np.array_equal(encoder.encode(texts), found["dense"])
    same(encoder, texts, sparse, output="sparse") if np.abs(sparse).max() < 1 else None
    for i, text in enumerate(texts):
        alone = encoder.encode_outputs([text])
        assert alone["sparse"] == found["sparse"][i : i + 1]
        assert alone["dense"].tobytes() == found["dense"][i : i + 1].tobytes()
    # Neg: with the pool mask on the dense vector too, another token would be the last.
    assert np.abs(encoder.encode(WORDS[:3])[0] - encoder.encode(WORDS[:3])[1]).max() > 1e-3
