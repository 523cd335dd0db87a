"""Texts without labels: how their vectors, and those of their tokens, lie."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Texts, evaluate, isotropy, uniformity
from embedkit.vectors.multivector import MultiVectors
from helpers.measured import Given, Written

TEXTS = [f"t{i}" for i in range(90)]
RNG = np.random.default_rng(0)
NUMBERS = (RNG.integers(-4, 5, (90, 12)) * (RNG.random((90, 12)) < 0.4)).astype(np.float32)
SEVERAL = [RNG.integers(-4, 5, (int(count), 3)).astype(np.float32) for count in RNG.integers(1, 6, 90)]


def values(task, encoder):
    estimates = evaluate(task, {"one": encoder}, resamples=3).results[0].estimates
    return {name: estimate.value for name, estimate in estimates.items()}


def test_texts():
    vectors = NUMBERS + 1
    found = values(Texts("here", (*TEXTS, "t0")), Written(dict(zip(TEXTS, vectors))))
    assert found == {"uniformity": uniformity(vectors), "isotropy": isotropy(vectors)}


def test_token_vectors():
    encoder = Given(TEXTS, NUMBERS + 1, tokens=MultiVectors.of(SEVERAL))
    report = evaluate(Texts("here", tuple(TEXTS)), {"one": encoder, "two": Given(TEXTS, NUMBERS + 1)}, resamples=50)
    each = [isotropy(text) for text in SEVERAL if len(text) > 1]
    assert len(each) < 90
    one, two = (result.estimates for result in report.results)
    assert one["token_isotropy"].value == pytest.approx(np.mean(each))
    assert one["token_isotropy"].interval[0] < np.mean(each) < one["token_isotropy"].interval[1]
    assert "token_isotropy" not in two
    assert str(report).count("isotropy of tokens") == 1
    # The other way round, the first has no value that the second could be compared with.
    turned = evaluate(Texts("here", tuple(TEXTS)), {"two": Given(TEXTS, NUMBERS + 1), "one": encoder}, resamples=5)
    assert turned.measures == ("uniformity", "isotropy", "token_isotropy")
    assert turned.results[1].estimates["token_isotropy"].difference is None
    assert turned.results[1].estimates["isotropy"].difference.value == 0.0


def test_files_of_texts(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\none\n")
    task = Texts.read(tmp_path / "a.txt")
    assert (task.texts, task.notes) == (("one", "two"), ("blank texts left out: 1",))
    (tmp_path / "a.tsv").write_text("id\ttext\n1\tone\n2\ttwo\n")
    assert Texts.read(tmp_path / "a.tsv").texts == ("one", "two")
    (tmp_path / "b.txt").write_text("one\none\n")
    with pytest.raises(InputError, match="at least two different texts, found 1"):
        Texts.read(tmp_path / "b.txt")
    (tmp_path / "b.jsonl").write_text('{"body": "one"}\n')
    with pytest.raises(InputError, match='line 1: expected the field "text"; found body'):
        Texts.read(tmp_path / "b.jsonl")
    with pytest.raises(InputError, match="found nothing"):
        Texts.read(tmp_path / "c.txt")
