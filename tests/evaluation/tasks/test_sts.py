"""Correlations of similarity with a person's scores."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Similarities, evaluate
from helpers.measured import Written, angle

stats = pytest.importorskip("scipy.stats")


def test_by_hand():
    # Ranks of the cosines 1, 2, 4, 3 from the far end, of the scores 1, 2, 3, 4: Spearman is 1 - 6 * 2 / (4 * 15).
    encoder = Written({"a": angle(0), "b": angle(80), "c": angle(60), "d": angle(20), "e": angle(40)})
    task = Similarities("here", ("a",) * 4, ("b", "c", "d", "e"), (1.0, 2.0, 3.0, 4.0))
    found = evaluate(task, {"one": encoder}, resamples=0).results[0].estimates
    assert found["spearman"].value == pytest.approx(0.8)
    cosines = [np.cos(np.radians(degrees)) for degrees in (80, 60, 20, 40)]
    assert found["pearson"].value == pytest.approx(np.corrcoef(cosines, [1, 2, 3, 4])[0, 1], abs=1e-6)
    # Over four fifths of 1 to 4 is the last pair only.
    assert found["alignment"].value == pytest.approx(2 - 2 * np.cos(np.radians(40)))
    assert found["spearman"].interval is None
    assert encoder.asked == ["default"]


@pytest.mark.parametrize(
    ("fn", "score"),
    [
        ("cosine", lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)),
        ("dot", lambda a, b: a @ b),
        ("euclidean", lambda a, b: -np.linalg.norm(a - b)),
    ],
)
def test_like_scipy(fn, score):
    rng = np.random.default_rng(0)
    vectors = {f"t{i}": rng.normal(size=6).astype(np.float32) for i in range(60)}
    first, second = [f"t{i}" for i in range(30)], [f"t{i}" for i in range(30, 60)]
    gold = [float(value) for value in rng.integers(0, 6, 30)]
    task = Similarities("here", tuple(first), tuple(second), tuple(gold), similarity=fn)
    found = evaluate(task, {"one": Written(vectors)}, resamples=20).results[0].estimates
    scores = [score(vectors[a].astype(float), vectors[b].astype(float)) for a, b in zip(first, second)]
    assert found["spearman"].value == pytest.approx(stats.spearmanr(scores, gold).statistic, abs=1e-6)
    assert found["pearson"].value == pytest.approx(stats.pearsonr(scores, gold).statistic, abs=1e-6)


def test_texts_that_were_cut_are_counted():
    long = "more than twenty characters"
    encoder = Written({"a": angle(0), "b": angle(80), long: angle(20)})
    report = evaluate(Similarities("here", ("a", "a"), ("b", long), (0.0, 1.0)), {"one": encoder}, resamples=0)
    assert (report.results[0].texts, report.results[0].truncated) == (3, 1)
    assert str(report).endswith("one: 1 of 3 texts were longer than the model reads and were cut")


def test_equal_scores_have_no_correlation():
    report = evaluate(
        Similarities("here", ("a", "a"), ("b", "b"), (0.0, 1.0)), {"one": Written({"a": (1, 0), "b": (0, 1)})}
    )
    assert json.loads(report.to_json())["results"][0]["estimates"]["spearman"] == {
        "value": None,
        "interval": None,
        "difference": None,
    }
    assert "Spearman" in str(report)


def test_formats(tmp_path):
    lines = 'sentence1\tsentence2\tscore\nhe said "x\tb\t1\nc\td\t2.5\n'
    (tmp_path / "a.tsv").write_text(lines)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.csv").write_text('text1,text2,similarity,more\n"he said ""x",b,1,\nc,d,2.5,\n')
    (tmp_path / "a.jsonl").write_text(
        '{"question1": "he said \\"x", "question2": "b", "label": 1}\n{"question1": "c", "question2": "d", "label": 2.5}\n'
    )
    for name in ("a.tsv", "a.tsv.gz", "a.csv", "a.jsonl"):
        task = Similarities.read(tmp_path / name)
        assert (task.first, task.second, task.scores) == (('he said "x', "c"), ("b", "d"), (1.0, 2.5))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.tsv",
            "a\tb\t1\nc\td\t2\n",
            r"line 2: expected the columns text1 \+ text2 or .*; found a, b, 1; rename them",
        ),
        ("a.tsv", "text1\ttext2\tscore\na\tb\tx\n", "line 2: expected a finite number in \"score\"; found 'x'"),
        ("a.tsv", "text1\ttext2\tscore\na\tb\tnan\n", "expected a finite number"),
        ("a.tsv", "text1\ttext2\tscore\na\tb\n", "expected 3 columns as in the header; found 2"),
        ("a.tsv", "text1\ttext2\tscore\na\tb\t1\nc\td\t1\n", "expected pairs with different scores"),
        ("a.tsv", "text1\ttext2\tscore\n", "expected at least one record, found none"),
        ("a.jsonl", '{"text1": 3, "text2": "b", "score": 1}\n', 'field "text1"'),
        ("a.jsonl", "[1]\n", "expected a JSON object"),
        (
            "a.jsonl",
            '{"text1": "a", "text2": "b", "score": 1}\n{"text1": "a", "text2": "b"}\n',
            'in "score"; found None',
        ),
        ("a.csv", b"text1,text2,score\n\xff,b,1\n", "readable UTF-8"),
        ("a.csv.gz", b"no gzip", "readable UTF-8"),
    ],
)
def test_hostile_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        Similarities.read(tmp_path / name)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="expected a file, found nothing"):
        Similarities.read(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="expected a file, found a folder"):
        Similarities.read(tmp_path)
    with pytest.raises(InputError, match="similarity: expected cosine, dot or euclidean, found 'manhattan'"):
        Similarities("here", ("a", "b"), ("a", "b"), (1.0, 2.0), similarity="manhattan")


def test_vectors_that_are_no_numbers():
    task = Similarities("here", ("a", "b"), ("b", "a"), (1.0, 2.0))
    with pytest.raises(InputError, match="NaN or infinity in row 1; check the bundle"):
        evaluate(task, {"one": Written({"a": (1, 0), "b": (float("nan"), 0)})})
