"""Pairs that are the same or not: hand-computed measures, and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Pairs, evaluate
from embedkit.evaluation.tasks.pairs import best_thresholds, partner_ranks
from helpers.measured import Written, angle

judges = pytest.importorskip("sklearn.metrics")


def test_by_hand():
    # From a, the cosines fall in the order b c d e; same, different, same, different.
    encoder = Written({"a": angle(0), "b": angle(10), "c": angle(20), "d": angle(30), "e": angle(40)})
    task = Pairs("here", ("a",) * 4, ("b", "c", "d", "e"), (True, False, True, False))
    found = {k: e.value for k, e in evaluate(task, {"one": encoder}, resamples=0).results[0].estimates.items()}
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["auc"] == pytest.approx(3 / 4)
    assert found["partner_rank"] == pytest.approx((1 + 3) / 2)
    distances = [2 - 2 * np.cos(np.radians(degrees)) for degrees in (10, 30)]
    assert found["alignment"] == pytest.approx(np.mean(distances), abs=1e-6)
    assert found["threshold"] == pytest.approx((np.cos(np.radians(10)) + np.cos(np.radians(20))) / 2)


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_like_brute_force(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, 14).astype(np.float32) / 4
    same = rng.random(14) < 0.5
    cuts = [-1.0, *sorted({float(s) for s in scores}), 9.0]
    accuracy = max(judges.accuracy_score(same, scores >= cut) for cut in cuts)
    f1 = max(judges.f1_score(same, scores >= cut, zero_division=0) for cut in cuts)
    found = best_thresholds(scores, same)
    assert found[:2] == pytest.approx((accuracy, f1))
    assert judges.accuracy_score(same, scores >= found[2]) == pytest.approx(accuracy)


@pytest.mark.parametrize("same", [[True, True], [False, False]])
def test_thresholds_of_one_kind(same):
    scores = np.array([0.25, 0.5], dtype=np.float32)
    accuracy, _, threshold = best_thresholds(scores, np.array(same))
    assert accuracy == 1
    assert ((scores >= threshold) == same).all()


def test_ranks_like_brute_force():
    rng = np.random.default_rng(0)
    vectors = rng.integers(-1, 2, (700, 3)).astype(float)
    a, b = rng.integers(0, 700, 600), rng.integers(300, 700, 600)
    a[0] = b[0]
    candidates = np.unique(b)
    expected = []
    for left, right in zip(a, b):
        mine = vectors[left] @ vectors[right]
        others = [vectors[left] @ vectors[c] for c in candidates if c not in (left, right)]
        expected.append(1 + sum(s > mine for s in others) + sum(s == mine for s in others) / 2)
    encoder = Written({"any": (1, 0, 0)})
    assert partner_ranks(encoder, vectors.astype(np.float32), a, b, candidates, "dot").tolist() == expected


def test_intervals_of_few_pairs():
    # Half of all resamples of two pairs have one label only: what is undefined there is left out.
    task = Pairs("here", ("a", "a"), ("b", "c"), (True, False))
    encoder = Written({"a": angle(0), "b": angle(10), "c": angle(20)})
    found = evaluate(task, {"one": encoder}, resamples=200).results[0].estimates
    assert found["accuracy"].interval == (1.0, 1.0)
    assert found["auc"].interval in (None, (1.0, 1.0))
    assert found["threshold"].interval is None


def test_formats(tmp_path):
    (tmp_path / "a.tsv").write_text("text1\ttext2\tlabel\na\tb\t1\nc\td\tdifferent\n")
    (tmp_path / "a.csv").write_text("is_duplicate,question1,question2\nTrue,a,b\n0.0,c,d\n")
    (tmp_path / "a.jsonl").write_text(
        '{"sentence1": "a", "sentence2": "b", "same": true}\n{"sentence1": "c", "sentence2": "d", "same": 0}\n'
    )
    for name in ("a.tsv", "a.csv", "a.jsonl"):
        task = Pairs.read(tmp_path / name)
        assert (task.first, task.second, task.same) == (("a", "c"), ("b", "d"), (True, False))
        assert task.size == {"pairs": 2, "of them the same": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text1\ttext2\tscore\na\tb\t1\n", "and label or same or is_duplicate; found text1, text2, score"),
        ("text1\ttext2\tlabel\na\tb\t3.5\n", "found '3.5'; scores of a scale are judged as sts"),
        ("text1\ttext2\tlabel\na\tb\t1\nc\td\t1\n", r"found 2 and 0: add some of the other kind"),
        ("text1\ttext2\tlabel\na\tb\t0\n", r"found 0 and 1"),
    ],
)
def test_hostile_files(tmp_path, content, message):
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(InputError, match=message):
        Pairs.read(tmp_path / "a.tsv")
