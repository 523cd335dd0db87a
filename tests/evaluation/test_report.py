"""Reports for people and for programs."""

from __future__ import annotations

import json
import math

import pytest

from embedkit.evaluation.report import Difference, Estimate, EvaluationReport, Result, interval, number, signed


def result(name, truncated=0, **estimates):
    return Result(name, "f", "fp32", "onnxruntime", "dense", 8, 1_200, truncated, estimates)


def report(*results):
    return EvaluationReport("sts", "a.tsv", {"pairs": 1_379}, "pairs", results, 0.95, 1_000, 7, ("a note",))


ONE = result("one", spearman=Estimate(0.71236, (0.7, 0.72)), uniformity=Estimate(-2.5, None))
TWO = result("two", 30, spearman=Estimate(0.75, None, Difference(0.03764, (0.01, 0.05))), mrv=Estimate(math.nan, None))


def test_for_people():
    lines = str(report(ONE, TWO)).splitlines()
    assert lines[:2] == ["sts on a.tsv: 1,379 pairs", "a note"]
    cells = [[cell for cell in line.split("  ") if cell.strip()] for line in lines[2:-2]]
    assert [cell.strip() for cell in cells[0]] == [
        "measure",
        "encoder",
        "value",
        "95 % interval",
        "minus one",
        "its interval",
    ]
    assert [cell.strip() for cell in cells[1]] == ["Spearman", "one", "0.7124", "0.7000 to 0.7200"]
    assert [cell.strip() for cell in cells[2]] == ["two", "0.7500", "+0.0376", "+0.0100 to +0.0500"]
    assert [cell.strip() for cell in cells[3]] == ["uniformity (lower is better)", "one", "-2.5000"]
    assert [cell.strip() for cell in cells[4]] == ["mean rank variance (lower is better)", "two", "-"]
    assert lines[-2] == "intervals: 1,000 resamples of the pairs, seed 7"
    assert lines[-1] == "two: 30 of 1,200 texts were longer than the model reads and were cut"


def test_alone_nothing_is_compared():
    alone = report(result("one", auc=Estimate(0.5, None)))
    assert "minus" not in str(alone)
    assert "intervals:" not in str(alone)
    assert not alone.estimated


def test_for_programs():
    line = report(ONE, TWO).to_json()
    assert "\n" not in line
    whole = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert whole["results"][1]["estimates"]["mrv"] == {"value": None, "interval": None, "difference": None}
    assert whole["results"][1]["estimates"]["spearman"]["difference"] == {"value": 0.03764, "interval": [0.01, 0.05]}
    assert (whole["size"], whole["seed"], whole["notes"]) == ({"pairs": 1_379}, 7, ["a note"])


def test_measures_are_in_their_order():
    assert report(ONE, TWO).measures == ("spearman", "uniformity", "mrv")


def test_numbers():
    assert [number(value) for value in (0.12345, -1.0, 12_345.67, math.nan, -math.inf)] == [
        "0.1235",
        "-1.0000",
        "12,345.7",
        "-",
        "-",
    ]
    assert [signed(value) for value in (0.5, -0.5, 0.0)] == ["+0.5000", "-0.5000", "0.0000"]
    assert interval(None) == ""
    assert interval((-1, 1), signed) == "-1.0000 to +1.0000"
