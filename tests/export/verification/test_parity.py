"""How near vectors are to their reference, by plain loops over them; and what is made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from embedkit import Encoder, ExportError, InputError, MultiVectors, SparseVectors
from embedkit.testing.tiny import tiny_bundle
from embedkit_export.verification import parity as verify
from embedkit_export.verification.gates import Gates
from embedkit_export.verification.parity import Case, judge_labels

TEXTS = [f"text number {n}, {'so ' * (n % 7)}on" for n in range(20)]


def test_measure_is_what_its_name_says() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 8)).astype(np.float32)
    same = verify.measure(a * 2, a)
    assert (same.cosine_mean, same.cosine_min, same.top10_overlap) == (1.0, 1.0, 1.0)
    assert same.max_abs == pytest.approx(np.abs(a).max())
    other = a.copy()
    other[3] = -other[3]
    changed = verify.measure(other, a)
    assert changed.cosine_min == pytest.approx(-1)
    assert changed.top10_overlap < 1
    b = rng.normal(size=(40, 8)).astype(np.float32)
    overlap = []
    for vectors in (a, b):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = unit @ unit.T
        overlap.append([set([j for j in np.argsort(-scores[i]) if j != i][:10]) for i in range(40)])
    expected = np.mean([len(x & y) / 10 for x, y in zip(*overlap, strict=True)])
    assert verify.measure(a, b).top10_overlap == pytest.approx(expected, abs=1e-6)


def test_items_that_are_as_near_as_the_nearest_may_change_places() -> None:
    """Thirty items alike but for what float32 rounds away: which ten of them are nearest says nothing of a graph."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(2, 6)).astype(np.float32)
    a, b = (
        MultiVectors.of([one * (1 + 1e-7 * rng.normal(size=one.shape)).astype(np.float32) for _ in range(30)])
        for _ in range(2)
    )
    assert verify.measure(a, b, "multivector").top10_overlap == 1.0
    # Neg: items that float32 tells apart are no equals.
    c, d = (
        MultiVectors.of([one * (1 + 1e-2 * rng.normal(size=one.shape)).astype(np.float32) for _ in range(30)])
        for _ in range(2)
    )
    assert verify.measure(c, d, "multivector").top10_overlap < 0.8


def test_sparse_vectors_share_their_largest_words() -> None:
    rng = np.random.default_rng(1)
    a = rng.random((6, 200)).astype(np.float32)
    b = a.copy()
    b[0, np.argsort(-a[0])[:8]] = 0.0  # eight of the largest words are gone
    found = verify.measure(SparseVectors.of(b), SparseVectors.of(a), "sparse")
    assert found.measures == {"top-32 words": pytest.approx((24 / 32 + 5) / 6, abs=1e-6)}


def test_several_vectors_a_text() -> None:
    parts = [np.random.default_rng(n).normal(size=(n % 4 + 1, 5)).astype(np.float32) for n in range(9)]
    same = verify.measure(MultiVectors.of(parts), MultiVectors.of(parts), "multivector")
    assert (same.cosine_min, same.top10_overlap, same.max_abs) == (pytest.approx(1.0), 1.0, 0.0)
    fewer = [*parts[:-1], np.ones((7, 5), np.float32)]
    assert verify.measure(MultiVectors.of(fewer), MultiVectors.of(parts), "multivector").cosine_min == 0.0


def test_logits() -> None:
    expected = np.array([[1, 0], [0, 2], [3, 1], [0, 1]], dtype=np.float32)
    found = expected.copy()
    found[0] = [0, 1]
    assert verify.measure(found, expected, "logits").measures == {"agreement": 0.75}
    one = np.array([[1], [2], [3], [4]], dtype=np.float32)
    turned = np.array([[1], [3], [2], [4]], dtype=np.float32)
    assert verify.measure(turned, one, "logits").measures == {"rank correlation": pytest.approx(0.8)}
    with pytest.raises(InputError, match="spearman: .* it is undefined there"):
        verify.measure(np.ones((4, 1), np.float32), one, "logits")


def test_labels_may_lose_what_their_gate_allows() -> None:
    gates = Gates(labels=0.02)
    assert judge_labels({"ndcg@10": 0.69, "spearman": 0.9}, {"ndcg@10": 0.7, "spearman": 0.8}, gates) == []
    (problem,) = judge_labels({"ndcg@10": 0.67}, {"ndcg@10": 0.7}, gates)
    assert problem == "ndcg@10: 0.6700 against 0.7000 in fp32, allowed to lose 0.02"
    assert len(judge_labels({"ndcg@10": float("nan")}, {"ndcg@10": 0.7}, gates)) == 1


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    bundle: Path = tiny_bundle(tmp_path_factory.mktemp("parity") / "b")
    return Encoder.load(bundle, variant="fp32", device="cpu", on_truncate="ignore")


def test_a_bundle_is_as_good_as_its_reference(encoder: Encoder) -> None:
    """The bundle against its own vectors, and against others at one text."""
    right = encoder.encode_outputs(TEXTS)
    name = next(iter(right))
    verdict = verify.judge(encoder, [Case("default", list(TEXTS), right)], Gates(), sizes=[4])
    assert (verdict.problems, verdict.notes) == ([], [])
    assert verdict.quality.cosine_min == pytest.approx(1.0)
    assert [cut.dim for cut in verdict.quality.matryoshka] == [4]
    wrong = np.array(right[name])
    wrong[5] = -wrong[5]
    verdict = verify.judge(encoder, [Case("default", list(TEXTS), {name: wrong})], Gates())
    assert any(problem.startswith("parity") and TEXTS[5] in problem for problem in verdict.problems)
    assert any("worst cosine: -1.0" in problem for problem in verdict.problems)
    # The same text among the unusual ones is noted by its cosine, and its gate decides nothing.
    order = [TEXTS[5], *TEXTS[:5], *TEXTS[6:]]
    turned = np.concatenate([wrong[5:6], wrong[:5], wrong[6:]])
    verdict = verify.judge(encoder, [Case("default", order, {name: turned}, hostile=1)], Gates())
    assert not any("worst cosine" in problem for problem in verdict.problems)
    assert [note.partition(" for the unusual")[0] for note in verdict.notes] == ["fp32: cosine -1.000"]


def test_numbers_that_are_none_end_it(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    right = encoder.encode_outputs(TEXTS)
    name = next(iter(right))
    broken = np.array(right[name])
    broken[3, 1] = np.nan
    monkeypatch.setattr(type(encoder.loaded), "computed", lambda *_, **__: {name: broken})
    with pytest.raises(ExportError, match=r"fp32: role 'default': the graph gives NaN or infinity .* number 3"):
        verify.judge(encoder, [Case("default", list(TEXTS), right)], Gates())
