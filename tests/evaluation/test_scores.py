"""Vectors of other kinds than dense: sparse ones, several a text, and token vectors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Classification, Pairs, Retrieval, Similarities, Texts, evaluate
from embedkit.evaluation.scores import crossed, paired
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors
from helpers.measured import Given, Written

pytest.importorskip("sklearn")
pytest.importorskip("pytrec_eval")

TEXTS = [f"t{i}" for i in range(90)]
RNG = np.random.default_rng(0)
NUMBERS = (RNG.integers(-4, 5, (90, 12)) * (RNG.random((90, 12)) < 0.4)).astype(np.float32)
SEVERAL = [RNG.integers(-4, 5, (int(count), 3)).astype(np.float32) for count in RNG.integers(1, 6, 90)]


def dot(a, b):
    return float(NUMBERS[a].astype(float) @ NUMBERS[b].astype(float))


def maxsim(a, b):
    return float(sum(max(float(x @ y) for y in SEVERAL[b]) for x in SEVERAL[a]))


KINDS = [
    pytest.param("sparse", SparseVectors.of(NUMBERS), dot, id="sparse"),
    pytest.param("multivector", MultiVectors.of(SEVERAL), maxsim, id="multivector"),
]


def values(task, encoder):
    estimates = evaluate(task, {"one": encoder}, resamples=3).results[0].estimates
    return {name: estimate.value for name, estimate in estimates.items()}


@pytest.mark.parametrize(("kind", "vectors", "score"), KINDS)
@pytest.mark.parametrize("window", [7, 100])
def test_retrieval(kind, vectors, score, window):
    encoder = Given(TEXTS, vectors, kind=kind, window=window)
    task = Retrieval("here", tuple(TEXTS[:20]), ({5: 1},) * 20, lambda: TEXTS[20:], 70)
    order = task.ranking(encoder)
    for query, found in enumerate(order):
        scores = [score(query, 20 + document) for document in range(70)]
        assert found.tolist() == sorted(range(70), key=lambda document: (-scores[document], document))
    ranks = [found.tolist().index(5) + 1 for found in order]
    assert values(task, encoder)["mrr@10"] == pytest.approx(np.mean([1 / r if r <= 10 else 0 for r in ranks]))


@pytest.mark.parametrize(("kind", "vectors", "score"), KINDS)
def test_sts(kind, vectors, score):
    gold = tuple(float(value) for value in np.random.default_rng(1).integers(0, 6, 45))
    found = values(Similarities("here", tuple(TEXTS[:45]), tuple(TEXTS[45:]), gold), Given(TEXTS, vectors, kind=kind))
    assert found == {
        "spearman": pytest.approx(_spearman([score(i, 45 + i) for i in range(45)], gold)),
        "pearson": pytest.approx(np.corrcoef([score(i, 45 + i) for i in range(45)], gold)[0, 1]),
    }


def _spearman(a, b):
    return np.corrcoef(*([np.mean(np.flatnonzero(np.sort(x) == v)) for v in x] for x in (a, b)))[0, 1]


@pytest.mark.parametrize(("kind", "vectors", "score"), KINDS)
def test_pairs(kind, vectors, score):
    same = tuple(bool(value) for value in np.random.default_rng(2).integers(0, 2, 45))
    found = values(Pairs("here", tuple(TEXTS[:45]), tuple(TEXTS[45:]), same), Given(TEXTS, vectors, kind=kind))
    assert found.keys() == {"average_precision", "auc", "accuracy", "f1", "partner_rank", "threshold"}
    both = itertools.product([i for i in range(45) if same[i]], [i for i in range(45) if not same[i]])
    wins = [np.sign(score(i, 45 + i) - score(j, 45 + j)) / 2 + 0.5 for i, j in both]
    assert found["auc"] == pytest.approx(np.mean(wins))


@pytest.mark.parametrize(("kind", "vectors", "score"), KINDS)
def test_nearest_texts(kind, vectors, score):
    labels = [f"label {value}" for value in np.random.default_rng(3).integers(0, 3, 90)]
    texts = tuple(zip(TEXTS, labels))
    task = Classification("here", texts[:70], texts[70:], classifier="knn")
    right = 0
    for i in range(70, 90):
        nearest = [labels[j] for j in sorted(range(70), key=lambda j: (-score(i, j), j))[:10]]
        most = max(map(nearest.count, nearest))
        right += next(label for label in nearest if nearest.count(label) == most) == labels[i]
    assert values(task, Given(TEXTS, vectors, kind=kind))["accuracy"] == pytest.approx(right / 20)


def test_regression_on_sparse_vectors_is_that_on_dense_ones():
    texts = tuple((text, f"label {i % 2}") for i, text in enumerate(TEXTS))
    task = Classification("here", texts[:60], texts[60:])
    sparse = values(task, Given(TEXTS, SparseVectors.of(NUMBERS), kind="sparse"))
    assert sparse == pytest.approx(values(task, Written(dict(zip(TEXTS, NUMBERS)))))
    with pytest.raises(InputError, match="take the classifier knn"):
        values(task, Given(TEXTS, MultiVectors.of(SEVERAL), kind="multivector"))


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_dense_scores_are_the_models(metric):
    encoder = Given(TEXTS, NUMBERS)
    encoder.metric = metric
    a, b = NUMBERS[:40], NUMBERS[50:]
    whole = crossed(encoder, a, b)
    np.testing.assert_allclose(whole, encoder.similarity(a, b), atol=1e-6)
    np.testing.assert_array_equal(paired(encoder, a, b), np.diag(whole))
    # Equal vectors tie, whatever they stand beside.
    long = np.random.default_rng(0).normal(size=(1, 384)).astype(np.float32)
    many = np.concatenate([np.random.default_rng(n).normal(size=(n, 384)).astype(np.float32) for n in (5, 64)])
    at = [0, 3, 17, 68]
    many[at] = many[0]
    assert len(set(crossed(encoder, long, many)[0, at])) == 1


@pytest.mark.parametrize(("kind", "vectors", "score"), KINDS)
def test_what_is_for_dense_vectors_only(kind, vectors, score):
    encoder = Given(TEXTS, vectors, kind=kind)
    with pytest.raises(InputError, match=f"measures of dense vectors, and this bundle's are {kind}"):
        values(Texts("here", tuple(TEXTS)), encoder)
    some = tuple(TEXTS[:2])
    tasks = [
        Similarities("here", some, some, (0.0, 1.0), similarity="cosine"),
        Pairs("here", some, some, (False, True), similarity="dot"),
        Retrieval("here", some, ({0: 1},) * 2, lambda: some, 2, similarity="euclidean"),
    ]
    for task in tasks:
        with pytest.raises(InputError, match=f"compares dense vectors, and this bundle's are {kind}; leave it out"):
            values(task, encoder)
