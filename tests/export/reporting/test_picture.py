"""The picture: the same bytes each time, no word over another, and what it says of the figures."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from embedkit import InputError
from embedkit_export.reporting import picture
from embedkit_export.reporting.picture import Point, draw

FP32 = Point("fp32", 3100.0, 90.4, 1.0, 0.9999999)
INT8 = Point("int8", 7400.0, 23.0, 0.99512, 0.9871)
LABELLED = [
    Point("fp32", 3100.0, 90.4, 1.0, 0.9999999, {"spearman": 0.8203}),
    Point("int8", 7400.0, 23.0, 0.99512, 0.9871, {"spearman": 0.8197}),
]


def drawn(tmp_path: Path, rows: list[Point], title: str = "a model") -> bytes:
    draw(rows, tmp_path / "picture.png", title=title)
    return (tmp_path / "picture.png").read_bytes()


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 1e-6 and min(a[3], b[3]) - max(a[1], b[1]) > 1e-6


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """The places of the labels that are drawn."""
    found: list[tuple[float, ...]] = []
    place = picture.place

    def watched(*args):
        found.append(place(*args))
        return found[-1]

    monkeypatch.setattr(picture, "place", watched)
    return found


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = drawn(tmp_path, [FP32, INT8])
    assert drawn(tmp_path, [FP32, INT8]) == first
    assert drawn(tmp_path, [FP32, Point("int8", 7400.0, 23.0, 0.992, 0.9871)]) != first
    image = Image.open(io.BytesIO(first))
    assert image.format == "PNG"
    assert image.size == (1200, 780)
    assert set(image.info) <= {"dpi"}


STYLE = {
    "axes.facecolor": "black",
    "axes.grid": False,
    "axes.labelpad": 30,
    "axes.linewidth": 4,
    "axes.spines.left": False,
    "figure.facecolor": "black",
    "font.family": "monospace",
    "font.size": 20,
    "font.weight": "bold",
    "lines.linewidth": 5,
    "lines.marker": "x",
    "patch.linewidth": 5,
    "savefig.dpi": 30,
    "scatter.marker": "s",
    "text.color": "red",
    "xtick.labelsize": 20,
    "xtick.major.size": 20,
    "ytick.direction": "in",
    "ytick.right": True,
}


def test_a_users_style_changes_nothing_and_stays(tmp_path: Path) -> None:
    for rows in ([FP32, INT8], LABELLED):
        first = drawn(tmp_path, rows)
        with matplotlib.rc_context(STYLE):
            before = dict(matplotlib.rcParams)
            assert drawn(tmp_path, rows) == first
            assert dict(matplotlib.rcParams) == before


def test_no_pyplot_and_no_matplotlib_before_it_is_needed(tmp_path: Path) -> None:
    code = f"""
import sys
from embedkit_export.reporting.picture import Point, draw
assert "matplotlib" not in sys.modules
draw([Point("fp32", 1.0, 1.0, 1.0, 1.0)], {str(tmp_path / "picture.png")!r}, title="one")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


CROWDS = {
    "two": [FP32, INT8],
    "labelled": LABELLED,
    "one": [INT8],
    "twice the same": [FP32, INT8, Point("int8-again", 7400.0, 23.0, 0.99512, 0.9871)],
    "six in one place": [Point(f"variant-{i}", 3000.0, 400.0, 0.9999, 0.999) for i in range(6)],
    "six exact ones": [Point(f"variant-{i}", 3000.0 + i, 40.0 + i, 1.0, 1.0) for i in range(6)],
    "a corner": [Point(name, 1e-3, 2000.0, -0.2, -0.9) for name in "abcdef"],
}


@pytest.mark.parametrize("rows", CROWDS.values(), ids=CROWDS.keys())
def test_no_label_is_over_another_or_outside(rows: list[Point], tmp_path: Path, boxes: list) -> None:
    drawn(tmp_path, rows)
    assert len(boxes) == len(rows)
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
    assert all(min(left, bottom) >= 0 and right <= 1200 and top <= 780 for left, bottom, right, top in boxes)


@pytest.mark.parametrize("seed", range(4))
def test_six_labels_find_room_wherever_the_variants_are(seed: int, tmp_path: Path, boxes: list) -> None:
    random = np.random.default_rng(seed)
    rows = [Point("int8-dynamic", *random.uniform(0.1, 1.0, 4)) for _ in range(6)]
    drawn(tmp_path, rows)
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))


def test_nothing_is_drawn_over_a_title_that_is_too_long(tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(drawn(tmp_path, [FP32], "a name that does not end " * 20))).convert("L"))
    assert (pixels[:60] < 128).any()
    assert (pixels[:, -12:] == 255).all()


def test_mathematics_in_a_name_is_plain_text(tmp_path: Path) -> None:
    assert drawn(tmp_path, [Point("$\\frac{$", 1.0, 1.0, 0.9, 0.8)], "$x_1$ \\undefined$")


def test_figures_in_words() -> None:
    assert picture._figures(FP32, 3100.0) == "90.4 MB\nexact"
    assert picture._figures(INT8, 3100.0) == "23 MB, 2.4× as fast\ncosine 0.9951"
    assert picture._figures(INT8, None) == "23 MB\ncosine 0.9951"
    assert picture._figures(LABELLED[1], 3100.0) == "23 MB, 2.4× as fast\nSpearman 81.97, cosine 0.9951"
    assert picture._figures(Point("x", 1.0, 1340.4, 0.5, 0.5), None) == "1,340 MB\ncosine 0.50"


def test_the_scale_of_nines_ends_at_float32s_rounding() -> None:
    assert picture._nines(0.9) == pytest.approx(1)
    assert picture._nines(0.9999) == pytest.approx(4)
    assert picture._nines(1.0) == picture._nines(0.99999995) == picture._nines(1.0000001) == pytest.approx(6)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one variant"):
        draw([], tmp_path / "picture.png", title="none")
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="int8: tokens_per_second: expected a positive number"):
            Point("int8", bad, 1.0, 1.0, 1.0)
        with pytest.raises(InputError, match="int8: megabytes"):
            Point("int8", 1.0, bad, 1.0, 1.0)
    with pytest.raises(InputError, match="int8: ndcg@10: expected a finite number"):
        Point("int8", 1.0, 1.0, 1.0, 1.0, {"ndcg@10": float("nan")})
    assert not list(tmp_path.iterdir())
