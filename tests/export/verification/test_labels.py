"""The figures of a sample's labels: those of `embedkit eval` on the same data, scipy's and scikit-learn's."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from embedkit import InputError, MultiVectors
from embedkit.evaluation import Retrieval, Similarities, evaluate
from embedkit_export.verification.labels import LabelledSample, rank_correlation
from embedkit_export.verification.sample import Pair, Query, Sample, read
from helpers.measured import Given, Written

TEXTS = [f"t{number}" for number in range(60)]


def written(seed: int, *, levels: int = 0) -> Written:
    """An encoder with a vector for each of the texts; few ``levels`` make many scores equal."""
    draw = np.random.default_rng(seed)
    vectors = draw.integers(0, levels, (60, 6)) if levels else draw.normal(size=(60, 6))
    return Written(dict(zip(TEXTS, vectors + (0.0 if levels else 0.1), strict=True)))


def searches(folder: Path, *, corpus: list[str], asked: list[str], seed: int) -> Path:
    """A folder in BEIR's form."""
    chance = random.Random(seed)
    for name, texts in (("corpus", corpus), ("queries", asked)):
        rows = [json.dumps({"_id": text, "text": text}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    qrels = [f"{q}\t{d}\t{chance.randint(0, 3)}" for q in asked for d in chance.sample(corpus, 6)]
    (folder / "qrels.tsv").write_text("\n".join([*qrels, *(f"{q}\t{corpus[0]}\t1" for q in asked)]))
    return folder


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("levels", [0, 3], ids=["different", "many equal"])
def test_the_figures_are_those_of_embedkit_eval(tmp_path: Path, metric: Any, levels: int) -> None:
    """The export sorts by digests: a corpus in that order has its ties broken alike."""
    plain = read(searches(tmp_path, corpus=TEXTS[:50], asked=TEXTS[50:], seed=1))
    folder = tmp_path / "sorted"
    folder.mkdir()
    sample = read(searches(folder, corpus=list(plain.documents), asked=TEXTS[50:], seed=1))
    encoder = written(2, levels=levels)
    encoder.metric = metric
    found = LabelledSample(sample, encoder).figures()
    report = evaluate(Retrieval.read(folder), {"one": encoder}, resamples=0)
    assert found == {name: pytest.approx(report.results[0].estimates[name].value, abs=1e-12) for name in found}
    assert list(found) == ["ndcg@10", "recall@10"]
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"text1": a, "text2": b, "score": i % 7} for i, (a, b) in enumerate(zip(TEXTS, TEXTS[7:], strict=False))]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    report = evaluate(Similarities.read(pairs), {"one": encoder}, resamples=0)
    expected = report.results[0].estimates["spearman"].value
    assert LabelledSample(read(pairs), encoder).figures() == {"spearman": pytest.approx(expected, abs=1e-12)}


def test_pairs_are_judged_as_scipy_does() -> None:
    encoder = written(3)
    pairs = tuple(Pair(a, b, float(i % 5)) for i, (a, b) in enumerate(zip(TEXTS[::2], TEXTS[1::2], strict=True)))
    a, b = (np.asarray(encoder.values[side::2], dtype=np.float64) for side in (0, 1))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    expected = spearmanr(cosines, [pair.score for pair in pairs]).statistic
    found = LabelledSample(Sample("a", tuple(TEXTS), pairs=pairs), encoder).figures()
    assert found == {"spearman": pytest.approx(expected, abs=1e-12)}


def test_searches_are_judged_as_sklearn_does_at_each_size() -> None:
    encoder = written(4)
    grades = np.random.default_rng(5).integers(0, 4, (10, 50)) * (np.random.default_rng(6).random((10, 50)) < 0.2)
    grades[:, 1] = 2
    queries = tuple(
        Query(TEXTS[50 + i], {int(d): int(row[d]) for d in np.flatnonzero(row)}) for i, row in enumerate(grades)
    )
    labelled = LabelledSample(Sample("a", tuple(TEXTS), queries=queries, documents=tuple(TEXTS[:50])), encoder)
    for size in (None, 2, 4):
        vectors = np.asarray(encoder.values[:, :size], dtype=np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = vectors[50:] @ vectors[:50].T
        best = np.argsort(-scores, axis=1)[:, :10]
        hits = np.take_along_axis(grades > 0, best, axis=1).sum(axis=1) / (grades > 0).sum(axis=1)
        assert labelled.figures(size) == {
            "ndcg@10": pytest.approx(ndcg_score(grades, scores, k=10, ignore_ties=True), abs=1e-9),
            "recall@10": pytest.approx(hits.mean(), abs=1e-9),
        }
    assert encoder.asked == ["query", "document"]  # once each, for all sizes


def test_equal_texts_tie() -> None:
    pairs = (*(Pair(text, text, number) for number, text in enumerate(TEXTS[:20])), Pair(TEXTS[20], TEXTS[21], -1.0))
    expected = spearmanr([1] * 20 + [0], [pair.score for pair in pairs]).statistic
    found = LabelledSample(Sample("a", tuple(TEXTS), pairs=pairs), written(0)).figures()
    assert found == {"spearman": pytest.approx(expected, abs=1e-12)}


def test_several_vectors_are_compared_as_the_model_does() -> None:
    """The mean over a question's vectors where the bundle says so, as `embedkit eval` has it."""
    draw = np.random.default_rng(7)
    several = MultiVectors.of([draw.normal(size=(int(n), 3)).astype(np.float32) for n in draw.integers(1, 6, 60)])
    encoder = Given(TEXTS, several, kind="multivector")
    encoder.bundle.manifest.scorers["main"] = type("Scorer", (), {"fn": "meanmaxsim", "right": ""})()
    pairs = tuple(Pair(a, b, float(i % 6)) for i, (a, b) in enumerate(zip(TEXTS, TEXTS[9:], strict=False)))
    scores = [(several[i] @ several[i + 9].T).max(axis=1).mean() for i in range(len(pairs))]
    expected = spearmanr(scores, [pair.score for pair in pairs]).statistic
    found = LabelledSample(Sample("a", tuple(TEXTS), pairs=pairs), encoder).figures()
    assert found == {"spearman": pytest.approx(expected, abs=1e-6)}


def test_without_labels_nothing_is_encoded() -> None:
    encoder = written(0)
    assert LabelledSample(Sample("a", ("b", "c")), encoder).figures() == {}
    assert encoder.asked == []


def test_vectors_that_cannot_be_compared() -> None:
    encoder = Written({"b": (1, math.nan), "c": (1, 0)})
    sample = Sample("a", ("b", "c"), queries=(Query("b", {0: 1}),), documents=("c",))
    with pytest.raises(InputError, match="query vectors: expected finite numbers, found NaN or infinity in row 0"):
        LabelledSample(sample, encoder).figures()
    same = Written({"b": (1, 0), "c": (1, 0)})
    pairs = Sample("a", ("b", "c"), pairs=(Pair("b", "c", 1.0), Pair("c", "b", 2.0)))
    with pytest.raises(InputError, match="found 1 and 2 different in 2 places; it is undefined there"):
        LabelledSample(pairs, same).figures()


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == -1.0
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / (4 * 15))
    # Ranks 1.5, 1.5, 3 and 1, 2, 3: covariance 1.5, variances 1.5 and 2.
    assert rank_correlation([5, 5, 9], [0, 1, 2]) == pytest.approx(1.5 / math.sqrt(3))
    for a, b in (([1.0], [1.0]), ([1.0, math.nan, 2.0], [1.0, 2.0, 3.0]), ([1.0, 2.0], [4.0, 4.0]), ([], [])):
        with pytest.raises(InputError, match="it is undefined there"):
            rank_correlation(a, b)
