"""Labels read out of vectors: hand-computed measures, and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Classification, evaluate
from helpers.measured import Written, angle

pytest.importorskip("sklearn")


def test_by_hand():
    encoder = Written({"up": angle(90), "up2": angle(85), "right": angle(0), "right2": angle(5), "odd": angle(80)})
    train = (("up", "u"), ("right", "r"))
    task = Classification("here", train, (("up2", "u"), ("right2", "r"), ("odd", "r")))
    found = evaluate(task, {"one": encoder}, resamples=50).results[0].estimates
    assert found["accuracy"].value == pytest.approx(2 / 3)
    # u has precision 1/2 and recall 1, r precision 1 and recall 1/2.
    assert found["macro_f1"].value == pytest.approx(2 / 3)
    assert found["accuracy"].interval[0] < 2 / 3 < found["accuracy"].interval[1]


def test_like_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    labels = [f"label {i % 3}" for i in range(90)]
    vectors = {f"t{i}": rng.normal(size=4) + (i % 3) * 0.7 for i in range(90)}
    texts = list(zip(vectors, labels))
    found = evaluate(
        Classification("here", tuple(texts[:60]), tuple(texts[60:])), {"one": Written(vectors)}, resamples=0
    )
    x = np.stack(list(vectors.values())).astype(np.float32)
    said = LogisticRegression(max_iter=1_000).fit(x[:60], labels[:60]).predict(x[60:])
    estimates = found.results[0].estimates
    assert estimates["accuracy"].value == pytest.approx(np.mean(said == np.array(labels[60:])))
    assert estimates["macro_f1"].value == pytest.approx(f1_score(labels[60:], said, average="macro"))


def table(path, rows, header="text\tlabel"):
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")
    return path


def test_a_split_that_is_made(tmp_path):
    path = table(tmp_path / "a.tsv", [(f"text {i}", "rare" if i % 10 == 0 else "often") for i in range(200)])
    task = Classification.read(path)
    assert task.size == {"training texts": 150, "test texts": 50, "labels": 2}
    assert sum(label == "rare" for _, label in task.test) == 5
    assert not set(task.train) & set(task.test)
    assert task == Classification.read(path)
    assert task.test != Classification.read(path, seed=1).test
    assert "a quarter of the texts" in task.notes[0]


def test_a_split_that_is_given(tmp_path):
    rows = [("a", "x", "train"), ("b", "y", "train"), ("c", "x", "test")]
    task = Classification.read(table(tmp_path / "a.tsv", rows, "text\tlabel\tsplit"))
    assert (task.train, task.test) == ((("a", "x"), ("b", "y")), (("c", "x"),))
    train, test = table(tmp_path / "train.tsv", [("a", "x"), ("b", "y")]), table(tmp_path / "test.tsv", [("c", "x")])
    assert Classification.read(train, test=test).test == task.test
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": "2"}\n')
    assert Classification.read(tmp_path / "a.jsonl", test=tmp_path / "a.jsonl").train == (("a", "1"), ("b", "2"))


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("text\tclass", [("a", "x")], "expected the columns text or sentence, and label; found text, class"),
        ("text\tlabel", [("a", "")], 'expected a text or an integer in "label"'),
        ("text\tlabel", [("a", "x"), ("b", "y")], "leave out rare labels, or give test texts"),
        ("text\tlabel", [("a", "x")] * 9, "found 1 labels"),
        (
            "text\tlabel\tsplit",
            [("a", "x", "train"), ("b", "y", "")],
            "in \"split\" of every record, or of none; found ''",
        ),
        ("text\tlabel\tsplit", [("a", "x", "dev")], "found 'dev'"),
        ("text\tlabel\tsplit", [("a", "x", "train"), ("b", "y", "train")], "expected texts to test on, found none"),
        ("text\tlabel\tsplit", [("a", "x", "train"), ("b", "y", "test")], "at least two labels, found 1"),
        (
            "text\tlabel\tsplit",
            [("a", "x", "train"), ("b", "y", "train"), ("c", "z", "test")],
            "found 'z' only there; add training texts of it",
        ),
    ],
)
def test_hostile_files(tmp_path, header, rows, message):
    with pytest.raises(InputError, match=message):
        Classification.read(table(tmp_path / "a.tsv", rows, header))
