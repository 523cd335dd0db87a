"""What an encoder says of itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from embedkit import Encoder, InputError
from embedkit.bundle.manifest import Manifest
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import DIM, changed, eighths, with_logits


def test_similarity(trained: Encoder) -> None:
    vectors = trained.encode(["a cat sat on the mat", "a kitten is sitting on a rug", "quarterly tax returns"])
    scores = trained.similarity(vectors[0], vectors)
    assert scores.shape == (1, 3)
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert scores[0, 1] > scores[0, 2]


def test_facts_of_a_bundle(encoder: Encoder) -> None:
    assert (encoder.dim, encoder.kind, encoder.metric, encoder.max_tokens) == (8, "dense", "cosine", 64)
    assert encoder.roles == ["default", "query", "document"]
    assert encoder.fields() == {"text": None}
    assert encoder.fill(["a", "b"], "query") == ["a", "b"]
    assert encoder.modality("query").noun == "text"
    assert encoder.fingerprint == encoder.bundle.manifest.fingerprint
    outputs = encoder.outputs()
    outputs.clear()
    assert list(encoder.outputs()) == ["dense"], "what is handed out is a copy"


@pytest.mark.parametrize("ask", ["outputs", "modality", "fields", "fill"])
def test_a_role_that_there_is_not_is_named(encoder: Encoder, ask: str) -> None:
    with pytest.raises(InputError, match="role: this bundle has default, query, document, found 'passage'"):
        getattr(encoder, ask)(*([["a"]] if ask == "fill" else []), "passage")


def test_vectors_of_unit_length_may_be_indexed_by_any_metric(encoder: Encoder, tmp_path: Path) -> None:
    assert all(encoder.allows(metric) for metric in ("cosine", "dot", "euclidean"))

    def change(manifest: Manifest) -> dict[str, object]:
        tower = manifest.towers["default"]
        outputs = {"dense": msgspec.structs.replace(tower.outputs["dense"], normalized=False)}
        return {"towers": {**manifest.towers, "default": msgspec.structs.replace(tower, outputs=outputs)}}

    other = Encoder.load(changed(tiny_bundle(tmp_path / "bundle"), change), variant="fp32")
    assert [other.allows(metric) for metric in ("cosine", "dot", "euclidean")] == [True, False, False]


def test_similarity_by_kind(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "bundle", kinds=("dense", "sparse", "multivector")), variant="fp32")
    texts = ["hello", "help", "zz"]
    sparse, several = (encoder.encode(texts, output=kind) for kind in ("sparse", "multivector"))
    dense = sparse.dense()
    assert np.allclose(encoder.similarity(sparse, sparse), dense @ dense.T, rtol=1e-6)
    by_hand = [
        [(a @ b.T).max(axis=1).sum() for b in (several[j] for j in range(3))]
        for a in map(several.__getitem__, range(3))
    ]
    assert np.allclose(encoder.similarity(several, several), by_hand, rtol=1e-5)
    with pytest.raises(InputError, match="found SparseVectors and ndarray; give two of one kind"):
        encoder.similarity(sparse, dense)
    with pytest.raises(InputError, match="give two of one kind"):
        encoder.similarity(several, sparse)


def test_the_output_of_logits_is_found_wherever_it_stands(tmp_path: Path) -> None:
    encoder = Encoder.load(with_logits(tmp_path / "bundle", eighths(DIM, 3)))
    assert list(encoder.outputs()) == ["dense", "logits"]
    assert encoder.logits_output() == "logits"


def test_a_bundle_without_logits_says_what_it_gives(tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_bundle(tmp_path / "bundle", kinds=("dense", "sparse")))
    with pytest.raises(InputError, match=r"but dense \(dense\), sparse \(sparse\); export a model that has a head"):
        encoder.logits_output()
