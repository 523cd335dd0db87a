"""Encoders side by side: intervals, paired differences, the report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedkit.errors import InputError, MissingExtraError
from embedkit.evaluation import Measured, Task, evaluate, evaluate_all
from embedkit.evaluation.bootstrap import interval, resampled
from embedkit.system import extras
from helpers.measured import Written


class Means(Task):
    """The mean of the numbers that an encoder gives; of none it is undefined."""

    name, source, units, size = "means", "here", "numbers", {"numbers": 50}

    def measure(self, encoder, *, progress=False):
        values = np.array([vector[0] for vector in encoder.values], dtype=float)
        return Measured(len(values), lambda rows: {"accuracy": float(values[rows].mean())}, {"isotropy": 0.5})


def numbers(values):
    return Written({str(i): (value,) for i, value in enumerate(values)})


VALUES = np.random.default_rng(1).normal(size=50).astype(np.float32)


def test_the_interval_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    report = evaluate(Means(), {"one": numbers(VALUES)}, resamples=4_000)
    low, high = report.results[0].estimates["accuracy"].interval
    theirs = stats.bootstrap((VALUES,), np.mean, n_resamples=4_000, method="percentile", rng=np.random.default_rng(7))
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)
    # By the normal distribution too.
    half = 1.96 * VALUES.std() / np.sqrt(len(VALUES))
    assert (low, high) == pytest.approx((VALUES.mean() - half, VALUES.mean() + half), abs=0.03)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        measured = Means().measure(numbers(rng.normal(size=60)))
        low, high = interval(resampled(measured, resamples=200, seed=0)["accuracy"], 0.95)
        inside += low <= 0 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_differences_are_paired():
    better = VALUES + np.float32(0.01)
    report = evaluate(Means(), {"one": numbers(VALUES), "two": lambda: numbers(better)}, resamples=300)
    first, second = (result.estimates["accuracy"] for result in report.results)
    assert first.difference is None
    assert second.difference.value == pytest.approx(0.01, abs=1e-6)
    # The intervals of both overlap by far; that of the difference is a point.
    assert second.difference.interval == pytest.approx((0.01, 0.01), abs=1e-6)
    assert first.interval[1] - first.interval[0] > 0.2
    fixed = report.results[1].estimates["isotropy"]
    assert (fixed.interval, fixed.difference.value, fixed.difference.interval) == (None, 0.0, None)


def test_deterministic():
    def run(seed):
        return evaluate(Means(), {"a": numbers(VALUES), "b": numbers(VALUES[::-1])}, resamples=50, seed=seed).to_json()

    assert run(3) == run(3) != run(4)


def test_the_report():
    report = evaluate(Means(), {"one": numbers(VALUES), "other": numbers(-VALUES)}, resamples=100, confidence=0.9)
    lines = str(report).splitlines()
    assert lines[0] == "means on here: 50 numbers"
    assert lines[1].split("  ")[0] == "measure"
    assert "90 % interval" in lines[1]
    assert "minus one" in lines[1]
    assert lines[2].startswith("accuracy  one ")
    assert lines[3].startswith("          other ")
    assert lines[-1] == "intervals: 100 resamples of the numbers, seed 0"
    whole = json.loads(report.to_json())
    assert whole["results"][1]["name"] == "other"
    assert whole["results"][1]["estimates"]["accuracy"]["difference"]["value"] == pytest.approx(-2 * VALUES.mean())
    assert report.measures == ("accuracy", "isotropy")
    alone = str(evaluate(Means(), {"one": numbers(VALUES)}, resamples=0))
    assert "minus" not in alone
    assert "resamples" not in alone


def test_nothing_is_said_of_intervals_where_there_are_none():
    class Fixed(Means):
        def measure(self, encoder, *, progress=False):
            return Measured(50, lambda rows: {}, {"isotropy": 0.5})

    report = evaluate(Fixed(), {"one": numbers(VALUES)})
    assert not report.estimated
    assert str(report).splitlines()[-1].split() == ["isotropy", "one", "0.5000"]


def test_an_interval_of_what_is_mostly_undefined():
    assert interval(np.array([np.nan, np.nan, 1.0]), 0.95) is None
    assert interval(np.array([np.nan, 1.0, 1.0]), 0.95) == (1.0, 1.0)
    assert interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": -1}, "resamples: expected an integer from 0 to 1000000, found -1"),
        ({"resamples": 2**32}, "resamples: expected an integer from 0 to 1000000, found 4294967296"),
        ({"resamples": 1.5}, "resamples: expected an integer"),
        ({"confidence": 95}, "confidence: expected a number between 0 and 1, such as 0.95, found 95"),
        ({"seed": -1}, "seed: expected an integer"),
    ],
)
def test_options(options, message):
    with pytest.raises(InputError, match=message):
        evaluate(Means(), {"one": numbers(VALUES)}, **options)


def test_several_tasks_load_an_encoder_once():
    loaded = []

    def load(name, values):
        loaded.append(name)
        return numbers(values)

    class Other(Means):
        name = "other"

    encoders = {"one": lambda: load("one", VALUES), "two": lambda: load("two", -VALUES)}
    reports = evaluate_all([Means(), Other()], encoders, resamples=20)
    assert loaded == ["one", "two"]
    assert [report.task for report in reports] == ["means", "other"]
    assert reports[0] == evaluate(Means(), {"one": numbers(VALUES), "two": numbers(-VALUES)}, resamples=20)
    assert reports[0].results == reports[1].results
    with pytest.raises(InputError, match="tasks: expected at least one"):
        evaluate_all([], encoders)


def test_no_encoder():
    with pytest.raises(InputError, match="expected at least one, found none"):
        evaluate(Means(), {})


@pytest.mark.parametrize(
    ("module", "package"),
    [("sklearn.metrics", "scikit-learn"), ("pytrec_eval", "pytrec-eval-terrier"), ("scipy.stats", "scipy")],
)
def test_a_missing_extra(monkeypatch, module, package):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MissingExtraError, match=rf"'{package}': run  pip install 'embedkit-onnx\[eval\]'"):
        extras.needed(module, "judging")
