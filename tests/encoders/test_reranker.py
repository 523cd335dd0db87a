"""Scores and rankings of pairs, against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import InputError, Reranker
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import DIM, eighths, sums, with_logits

DOCUMENTS = ["a boat", "", "bread and flour", "rain", "bread and flour", "zz", "日本"]
HEAD = eighths(DIM, 1)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return Reranker.load(with_logits(tmp_path_factory.mktemp("pairs") / "bundle", HEAD, pair=True))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """(n,) scores of the documents beside the question ``bread``."""
    plain = tiny_bundle(tmp_path_factory.mktemp("plain") / "bundle", dim=DIM, kinds=("dense", "multivector"))
    return (sums(plain, [f"bread|{document}" for document in DOCUMENTS]) @ HEAD)[:, 0]


def test_scores(reranker: Reranker, expected: np.ndarray) -> None:
    pairs = [("bread", document) for document in DOCUMENTS]
    found = reranker.score(pairs)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    for pair, score in zip(pairs, found, strict=True):
        assert reranker.score([pair]).tobytes() == score.tobytes()
    assert reranker.score([]).shape == (0,)
    assert not np.array_equal(reranker.score([pair[::-1] for pair in pairs]), found)  # type: ignore[misc]


def test_the_best_first_and_equal_ones_in_their_order(reranker: Reranker, expected: np.ndarray) -> None:
    order = sorted(range(len(DOCUMENTS)), key=lambda i: (-expected[i], i))
    found = reranker.rank("bread", DOCUMENTS)
    assert [one.index for one in found] == order
    assert order.index(2) + 1 == order.index(4), "the same document twice"
    assert [one.document for one in found] == [DOCUMENTS[i] for i in order]
    assert [one.score for one in found] == [float(expected[i]) for i in order]
    assert reranker.rank("bread", DOCUMENTS, 3) == found[:3]
    assert reranker.rank("bread", DOCUMENTS, 99) == found
    assert reranker.rank("bread", []) == []


def test_a_score_goes_through_the_models_own_activation(tmp_path: Path, expected: np.ndarray) -> None:
    reranker = Reranker.load(with_logits(tmp_path / "bundle", HEAD, pair=True, activation="sigmoid"))
    found = reranker.score([("bread", document) for document in DOCUMENTS])
    assert np.abs(found - 1 / (1 + np.exp(-expected.astype(np.float64)))).max() < 1e-6


@pytest.mark.parametrize("wrong", ["a text", ["ab"], [("a", "b", "c")], [("a", 2)]])
def test_what_is_no_pair_is_refused(reranker: Reranker, wrong: object) -> None:
    with pytest.raises(InputError):
        reranker.score(wrong)  # type: ignore[arg-type]


def test_what_cannot_be_ranked_is_refused(reranker: Reranker) -> None:
    with pytest.raises(InputError, match="list of texts"):
        reranker.rank("a", "b")
    for k in (0, -1, True, 1.5):
        with pytest.raises(InputError, match="k: expected"):
            reranker.rank("a", ["b"], k)  # type: ignore[arg-type]


def test_a_bundle_of_classes_is_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives 1 numbers for the fields text"):
        Reranker.load(with_logits(tmp_path / "one", HEAD))
    with pytest.raises(InputError, match=r"gives 3 numbers for the fields query, document.*embedkit\.Classifier"):
        Reranker.load(with_logits(tmp_path / "three", eighths(DIM, 3), pair=True))


def test_documents_are_ranked_by_their_order_whatever_holds_them(reranker: Reranker) -> None:
    pandas = pytest.importorskip("pandas")
    texts = ["one", "two", "three"]
    expected = reranker.rank("one", texts)
    assert reranker.rank("one", (text for text in texts)) == expected  # type: ignore[arg-type]
    assert reranker.rank("one", pandas.Series(texts, index=[2, 0, 1])) == expected
    for given in (pandas.DataFrame({"text": texts}), {"a": "one"}, set(texts)):
        with pytest.raises(InputError, match="documents: expected"):
            reranker.rank("one", given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pairs: expected an iterable of pairs"):
        reranker.score(pandas.DataFrame({"qq": texts, "dd": texts}))
    with pytest.raises(InputError, match="pair 0: expected a question and a document"):
        reranker.score([7])  # type: ignore[list-item]
