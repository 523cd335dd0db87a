"""Token vectors as an output, and dense, sparse and multi-vectors from one pass of the backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

import embedkit
import embedkit_export
from embedkit import ExportError
from embedkit.runtime.verification import verify
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from embedkit_export.recipes.recipe import Recipe
from helpers import models
from helpers.systems import TEXTS, export, load


def states(folder: Path, text: str, limit: int = 64) -> tuple[list[int], np.ndarray]:
    """Ids and (tokens, dim) last hidden states of one text, by transformers."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    given = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    given.pop("token_type_ids", None)
    with torch.no_grad():
        return given["input_ids"][0].tolist(), model(**given).last_hidden_state[0].numpy()


@pytest.mark.slow
def test_the_states_of_a_decoder_and_their_isotropy(tmp_path: Path) -> None:
    folder = models.save("gpt2", tmp_path / "model")
    recipe = "dense = false\n[outputs.tokens]\nkind = 'tokens'\n"
    encoder = export(str(folder), recipe, tmp_path)
    assert encoder.kind == "tokens"
    found: MultiVectors = encoder.encode(TEXTS)
    for i, text in enumerate(TEXTS):
        _, expected = states(folder, text)
        assert found[i].shape == expected.shape
        assert np.abs(found[i] - expected).max() < 1e-4
        assert encoder.encode(text) == found[i : i + 1]
        if len(expected) > 1:
            units = expected / np.linalg.norm(expected, axis=1, keepdims=True)
            cosines = [float(a @ b) for i, a in enumerate(units) for j, b in enumerate(units) if i != j]
            assert embedkit.isotropy(found[i]) == pytest.approx(1 - np.mean(cosines), abs=1e-5)
    assert "main" not in encoder.bundle.manifest.scorers
    assert verify(encoder.bundle.folder).passed


def test_tokens_beside_the_dense_vector(tmp_path: Path) -> None:
    folder = models.save("bert", tmp_path / "model")
    recipe = Recipe(
        pooling={"mode": "mean", "without": ["special"]},
        outputs={"tokens": {"kind": "tokens", "stages": [{"kind": "normalize"}]}},
    )
    encoder = export(str(folder), recipe, tmp_path)
    both = encoder.encode_outputs(TEXTS)
    for i, text in enumerate(TEXTS):
        _, expected = states(folder, text)
        assert np.abs(both["dense"][i] - expected[1:-1].mean(axis=0)).max() < 1e-4  # type: ignore[index]
        unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        assert np.abs(both["tokens"][i] - unit).max() < 1e-4  # type: ignore[operator]
    assert encoder.outputs()["tokens"].normalized
    assert encoder.encode(TEXTS, output="tokens") == both["tokens"]


M3 = """
pooling = {mode = "first", masked = false, without = ["first"]}
stages = [{kind = "normalize"}]
[outputs.sparse]
kind = "sparse"
weights = "sparse_linear.safetensors"
[outputs.multivector]
kind = "multivector"
stages = [{kind = "linear", weights = "colbert_linear.pt"}, {kind = "normalize"}]
"""


def m3(folder: Path) -> dict[str, Any]:
    """The layers of a model that gives three kinds of vectors, saved beside it."""
    models.save("xlm-roberta", folder)
    torch.manual_seed(5)
    sparse, late = torch.nn.Linear(64, 1), torch.nn.Linear(64, 32)
    save_file(sparse.state_dict(), str(folder / "sparse_linear.safetensors"))
    torch.save(late.state_dict(), folder / "colbert_linear.pt")
    return {"sparse": sparse, "late": late}


def test_three_kinds_of_vectors_from_one_pass(tmp_path: Path) -> None:
    """As FlagEmbedding computes them."""
    folder = tmp_path / "model"
    layers = m3(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = export(str(folder), M3, tmp_path, variants=("fp32", "int8"))
    texts = [*TEXTS, "", "rain rain rain \u2603 rain"]
    found = encoder.encode_outputs(texts)
    sparse, late = found["sparse"], found["multivector"]
    assert isinstance(sparse, SparseVectors)
    assert isinstance(late, MultiVectors)
    unused = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    for i, text in enumerate(texts):
        ids, hidden = states(folder, text)
        dense = hidden[0] / np.linalg.norm(hidden[0])
        assert np.abs(found["dense"][i] - dense).max() < 1e-4  # type: ignore[index]
        weights: dict[int, float] = {}
        with torch.no_grad():
            given = torch.relu(layers["sparse"](torch.from_numpy(hidden)))[:, 0].numpy()
            vectors = torch.nn.functional.normalize(layers["late"](torch.from_numpy(hidden[1:])), dim=-1).numpy()
        for token, weight in zip(ids, given, strict=True):
            if token not in unused and weight > weights.get(token, 0.0):
                weights[token] = float(weight)
        places, values = sparse[i]
        assert places.tolist() == sorted(weights)
        assert np.allclose(values, [weights[token] for token in sorted(weights)], atol=1e-4)
        assert np.abs(late[i] - vectors).max() < 1e-4
        assert encoder.encode(text, output="sparse") == sparse[i : i + 1]
        assert encoder.encode(text, output="multivector") == late[i : i + 1]
    assert any(len(a) for a, _ in sparse)
    scorers = {name: scorer.fn for name, scorer in encoder.bundle.manifest.scorers.items()}
    assert scorers == {"main": "cosine", "sparse": "sparse_dot", "multivector": "maxsim"}
    int8 = load(encoder.bundle.folder, "int8")
    together = int8.encode_outputs(texts)
    for i, text in enumerate(texts):
        alone = int8.encode_outputs([text])
        assert alone["sparse"] == together["sparse"][i : i + 1]
        assert alone["multivector"] == together["multivector"][i : i + 1]
    assert verify(encoder.bundle.folder).passed


def test_maxsim_is_the_sum_of_the_greatest_products(tmp_path: Path) -> None:
    """Also of features that were stored, and of a text that has none."""
    rng = np.random.default_rng(0)
    a, b = (MultiVectors.of([rng.normal(size=(n, 8)) for n in lengths]) for lengths in ((1, 5, 0, 32), (3, 0, 1, 40)))
    scores = a.maxsim(b)
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            wanted = np.einsum("qd,kd->qk", one, other).max(axis=1).sum() if len(one) and len(other) else 0.0
            assert scores[i, j] == pytest.approx(wanted, abs=1e-4)
    b.save(tmp_path / "stored.npz")
    assert np.array_equal(a.maxsim(MultiVectors.load(tmp_path / "stored.npz")), scores)


def test_weights_of_tokens_need_a_layer_to_one_number(tmp_path: Path) -> None:
    m3(tmp_path / "model")
    with pytest.raises(ExportError, match="expected a layer to one number"):
        recipe = Recipe(outputs={"sparse": {"kind": "sparse", "weights": "colbert_linear.pt"}})
        embedkit_export.prepare(tmp_path / "model", recipe=recipe)
