"""The picture of a report, looked at by its pixels."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.evaluation import Difference, Estimate, EvaluationReport, Result, draw

image = pytest.importorskip("matplotlib.image")


def report(results=2, measures=("ndcg@10", "partner_rank", "auc", "uniformity"), value=0.5):
    estimates = {
        name: Estimate(value + i / 10, None if name == "uniformity" else (value, value + 0.4), Difference(0.0, None))
        for i, name in enumerate(measures)
    }
    return EvaluationReport(
        "pairs",
        "folder/data $x_1$.tsv",
        {"pairs": 12_345},
        "pairs",
        tuple(
            Result(f"encoder {i} " + "long " * 9 * i, "f", "fp32", "onnxruntime", "dense", 8, 9, 0, estimates)
            for i in range(results)
        ),
        0.95,
        1_000,
        0,
    )


def colours(path):
    pixels = (image.imread(path)[..., :3] * 255).round().astype(int)
    packed = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1]))
    return {(n >> 16, n >> 8 & 255, n & 255) for n in packed.tolist()}, pixels.shape


def test_each_encoder_has_its_colour(tmp_path):
    draw(report(3), tmp_path / "a.png")
    found, _ = colours(tmp_path / "a.png")
    assert {(0, 0x72, 0xB2), (0xD5, 0x5E, 0), (0, 0x9E, 0x73)} <= found
    draw(report(1), tmp_path / "b.png")
    found, _ = colours(tmp_path / "b.png")
    assert (0xD5, 0x5E, 0) not in found


def test_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw(report(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.slow
def test_several_reports_are_below_each_other(tmp_path):
    shapes = []
    for number in (1, 2, 3):
        draw([report()] * number, tmp_path / "a.png")
        shapes.append(colours(tmp_path / "a.png")[1])
    assert shapes[0][1] == shapes[2][1]
    assert shapes[2][0] - shapes[1][0] == pytest.approx(shapes[1][0] - shapes[0][0], abs=2)
    draw(report(), tmp_path / "b.png")
    draw([report()], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # The first section of two is that of one.
    draw([report(), report(3, ("auc",))], tmp_path / "b.png")
    one, two = (image.imread(tmp_path / name)[..., :3] for name in ("a.png", "b.png"))
    assert np.abs(one[:40] - two[:40]).mean() < 0.02
    with pytest.raises(InputError, match="reports: expected at least one"):
        draw([], tmp_path / "a.png")


def test_svg(tmp_path):
    for name in ("a.svg", "b.SVG"):
        draw([report(), report(3)], tmp_path / name)
    content = (tmp_path / "a.svg").read_bytes()
    assert content == (tmp_path / "b.SVG").read_bytes()
    assert ElementTree.fromstring(content).tag.endswith("svg")
    assert content.count(b"#009e73") > 0
    with pytest.raises(InputError, match="ends in .png or .svg, found .*a.pdf"):
        draw(report(), tmp_path / "a.pdf")


def test_a_measure_that_one_encoder_has(tmp_path):
    first, second = report(1, ("auc", "f1")), report(2, ("auc",))
    draw(replace(first, results=(*second.results, *first.results)), tmp_path / "a.png")
    found, _ = colours(tmp_path / "a.png")
    assert (0, 0x9E, 0x73) in found


def test_it_grows_with_what_is_in_it(tmp_path):
    shapes = []
    for results, measures in ((1, ("auc",)), (9, ("auc",)), (9, ("auc", "f1", "accuracy", "isotropy"))):
        draw(report(results, measures), tmp_path / "a.png")
        shapes.append(colours(tmp_path / "a.png")[1])
    assert shapes[0][0] < shapes[1][0] < shapes[2][0]


@pytest.mark.parametrize("value", [float("nan"), 0.0, 1e9, -1e-9])
def test_values_that_are_hard_to_draw(tmp_path, value):
    draw(report(value=value), tmp_path / "a.png")
    assert np.prod(colours(tmp_path / "a.png")[1]) > 0


def test_nowhere_to_write(tmp_path):
    with pytest.raises(InputError, match="name a file in a folder that exists"):
        draw(report(), tmp_path / "none" / "a.png")
