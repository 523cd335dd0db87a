"""One picture of a bundle's variants: how much faster and smaller, and what that costs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, product
from typing import Any, TypeAlias

from embedkit.errors import InputError, MissingExtraError

LABELS = {"ndcg@10": "nDCG@10", "recall@10": "recall@10", "spearman": "Spearman"}
"""The user's own metrics and their names, the one to show first."""

_SMALLEST = 1e-6
"""An error up to here is rounding of float32; a log axis must end somewhere, and has no zero."""
_LARGEST_MARKER = 2_000.0  # in square points
_SIZE = (8.0, 5.2)  # in inches
_DPI = 150
_PAD = 4  # pixels around the words of a label
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which people tell apart whatever their colour vision."""
_INK, _FAINT = "#222222", "#d9d9d9"
_FAMILY = "DejaVu Sans"  # which matplotlib brings along
_Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class Point:
    """A variant: tokens per CPU-second, megabytes (10^6 bytes), cosines with PyTorch, and the user's metrics (0 to 1)."""

    name: str
    tokens_per_second: float
    megabytes: float
    cosine_mean: float
    cosine_min: float
    labels: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tokens_per_second", "megabytes"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{self.name}: {name}: expected a positive number, found {getattr(self, name)!r}")
        for name, value in {"mean": self.cosine_mean, "min": self.cosine_min, **self.labels}.items():
            if not math.isfinite(value):
                raise InputError(f"{self.name}: {name}: expected a finite number, found {value!r}")


def draw(rows: Sequence[Point], path: str | os.PathLike[str], *, title: str) -> None:
    """Write a PNG of quality (up) against speed (right) with a marker for each of ``rows``, whose area is the file's
    size.

    Quality is the user's metric where every row has the same one (`LABELS` says which of several); else the mean
    cosine with PyTorch on a scale of nines, where .99 to .999 is as far as .999 to .9999. There a thin line leads to
    the cosine of the worst text, and an error of a millionth or less stands on a line of its own at the top.

    The same rows give the same bytes, with the same versions of matplotlib and Pillow. Raises `InputError` without
    rows and `MissingExtraError` without matplotlib.
    """
    if not rows:
        raise InputError("picture: expected at least one variant, found none")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "export", "drawing the picture") from error
    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.13, 0.15, 0.84, 0.7), facecolor="white")
    metric = next((name for name in LABELS if all(name in row.labels for row in rows)), None)
    heights = _metric_axis(axes, rows, metric) if metric else _nines_axis(axes, rows)
    _speed_axis(axes, rows)
    _words(figure, canvas, title, metric)
    radii = _markers(axes, rows, heights, whiskers=metric is None)
    _names(figure, canvas, rows, heights, radii)
    canvas.draw()
    # Software is matplotlib's version, which would change the file though not the picture.
    with open(path, "wb") as file:
        canvas.print_png(file, metadata={"Software": None})


def _nines(cosine: float) -> float:
    """The number of nines: 1 for 0.9, 2 for 0.99."""
    return -math.log10(max(1.0 - cosine, _SMALLEST))


def _nines_axis(axes: Any, rows: Sequence[Point]) -> list[float]:
    top = _nines(1.0)
    bottom = min(math.floor(min(_nines(min(row.cosine_mean, row.cosine_min)) for row in rows)), top - 2)
    marks = [mark for mark in range(math.ceil(top)) if mark >= bottom]
    _y_axis(
        axes,
        "mean cosine with PyTorch, on a scale of nines",
        (bottom - 0.12 * (top - bottom), top + 0.12 * (top - bottom)),
        [*marks, top],
        [*(f"{1 - 10.0**-mark:.{mark}f}" for mark in marks), "exact"],
    )
    axes.axhline(top, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), marker="", zorder=1)
    return [_nines(row.cosine_mean) for row in rows]


def _metric_axis(axes: Any, rows: Sequence[Point], metric: str) -> list[float]:
    heights = [100.0 * row.labels[metric] for row in rows]
    middle = (min(heights) + max(heights)) / 2
    # Two points at least, or the noise of a small sample would look like a cliff.
    span = max(2.0, 1.5 * (max(heights) - min(heights)))
    step = _step(span)
    ends = (middle - span / 2, middle + span / 2)
    marks = [step * number for number in range(math.ceil(ends[0] / step), math.floor(ends[1] / step) + 1)]
    _y_axis(axes, f"{LABELS[metric]} on the sample, × 100", ends, marks, [f"{mark:g}" for mark in marks])
    for row, height in zip(rows, heights, strict=True):
        if row.name == "fp32":
            axes.axhline(height, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), marker="", zorder=1)
    return heights


def _speed_axis(axes: Any, rows: Sequence[Point]) -> None:
    end = 1.25 * max(row.tokens_per_second for row in rows)
    step = _step(end)
    marks = [step * number for number in range(int(end / step) + 1)]
    axes.set_xlim(0, end)
    axes.set_xticks(marks, [f"{mark:,.10g}" for mark in marks], **_font(9))
    axes.set_xlabel("tokens per CPU-second", labelpad=4, **_font(10))


def _y_axis(axes: Any, label: str, ends: tuple[float, float], marks: Sequence[float], names: Sequence[str]) -> None:
    axes.set_ylim(*ends)
    axes.set_yticks(marks, names, **_font(9))
    axes.set_ylabel(label, labelpad=4, **_font(10))
    axes.grid(visible=True, color=_FAINT, linewidth=0.7, linestyle="-")
    axes.set_axisbelow(True)
    axes.tick_params(
        color=_FAINT, length=3.5, width=0.8, pad=3.5, direction="out", bottom=True, left=True, top=False, right=False
    )
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=_INK, linewidth=0.8)


def _step(span: float) -> float:
    """A round step that divides ``span`` into four to ten."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= span / 4)


def _font(size: float, *, bold: bool = False, colour: str = _INK) -> dict[str, Any]:
    return {
        "fontfamily": _FAMILY,
        "fontsize": size,
        "fontweight": "bold" if bold else "normal",
        "color": colour,
        "parse_math": False,
    }


def _words(figure: Any, canvas: Any, title: str, metric: str | None) -> None:
    line = "Up and right is better. Area: file size. "
    if metric is None:
        line += "Thin line: down to the worst text. Exact: within a millionth, as float32 rounds."
    else:
        line += "Dashed line: fp32. The scale of quality does not begin at zero."
    figure.text(0.02, 0.9, line, **_font(9, colour="#555555"))
    title = title[:150]
    text = figure.text(0.02, 0.945, title, **_font(13, bold=True))
    while text.get_window_extent(canvas.get_renderer()).width > 0.96 * figure.bbox.width:
        title = title[:-1]
        text.set_text(f"{title}…")


def _markers(axes: Any, rows: Sequence[Point], heights: Sequence[float], *, whiskers: bool) -> list[float]:
    """Draw the markers, large ones first; their radii in pixels."""
    largest = max(row.megabytes for row in rows)
    areas = [_LARGEST_MARKER * row.megabytes / largest for row in rows]
    for index in sorted(range(len(rows)), key=lambda index: -areas[index]):
        row, colour = rows[index], _COLOURS[index % len(_COLOURS)]
        x, y = row.tokens_per_second, heights[index]
        axes.scatter(
            [x],
            [y],
            s=areas[index],
            marker="o",
            facecolor=f"{colour}40",
            edgecolor=colour,
            linewidth=1.4,
            clip_on=False,
        )
        axes.scatter([x], [y], s=9, marker="o", facecolor=colour, edgecolor="none", linewidth=0)
        if whiskers:
            low = _nines(row.cosine_min)
            axes.plot([x, x], [y, low], color=colour, linewidth=1.2, linestyle="-", marker="")
            axes.plot([x], [low], color=colour, marker="_", markersize=8, markeredgewidth=1.2, linestyle="")
    return [math.sqrt(area / math.pi) * _DPI / 72 for area in areas]


def _names(figure: Any, canvas: Any, rows: Sequence[Point], heights: Sequence[float], radii: Sequence[float]) -> None:
    """Write each variant's name and figures beside its marker, where nothing else is."""
    from matplotlib.transforms import IdentityTransform

    renderer, axes = canvas.get_renderer(), figure.axes[0]
    pixels = {"transform": IdentityTransform(), "va": "bottom", "zorder": 5}
    at = [axes.transData.transform((row.tokens_per_second, y)) for row, y in zip(rows, heights, strict=True)]
    anchors = [(float(x), float(y)) for x, y in at]
    taken = [_around(x, y, 2 * radius, 2 * radius) for (x, y), radius in zip(anchors, radii, strict=True)]
    taken += [tuple(line.get_window_extent(renderer).padded(2).extents) for line in axes.lines]
    speed = next((row.tokens_per_second for row in rows if row.name == "fp32"), None)
    names: list[_Box] = []
    for row, anchor, radius, colour in zip(rows, anchors, radii, cycle(_COLOURS)):
        words = figure.text(0, 0, _figures(row, speed), linespacing=1.25, **pixels, **_font(8.5))
        name = figure.text(0, 0, row.name, **pixels, **_font(10, bold=True))
        below, above = (text.get_window_extent(renderer) for text in (words, name))
        size = (max(below.width, above.width) + 2 * _PAD, below.height + above.height + 3 * _PAD)
        box = place(anchor, radius, size, taken, names, axes.bbox.extents)
        words.set_position((box[0] + _PAD, box[1] + _PAD))
        name.set_position((box[0] + _PAD, box[1] + below.height + 2 * _PAD))
        leader = _leader(anchor, radius, box)
        names.append(box)
        taken += [_around(x, y, 12, 12) for x, y in leader]
        _drawn(figure, box, leader, colour)


def _figures(row: Point, speed: float | None) -> str:
    digits = min(6, 2 + math.floor(_nines(row.cosine_mean)))
    cosine = f"cosine {row.cosine_mean:.{digits}f}" if 1 - row.cosine_mean > _SMALLEST else "exact"
    ratio = "" if speed is None or row.name == "fp32" else f", {row.tokens_per_second / speed:.1f}× as fast"
    metric = next((f"{LABELS[name]} {100 * row.labels[name]:.2f}, " for name in LABELS if name in row.labels), "")
    size = f"{row.megabytes:,.0f}" if row.megabytes >= 100 else f"{row.megabytes:.3g}"
    return f"{size} MB{ratio}\n{metric}{cosine}"


def place(
    anchor: tuple[float, float],
    radius: float,
    size: tuple[float, float],
    taken: Sequence[_Box],
    names: Sequence[_Box],
    inside: Sequence[float],
) -> _Box:
    """The box (left, bottom, right, top) of a label of ``size`` near a round marker, in pixels: the nearest of a fixed
    list of places that is ``inside``, overlaps none of ``taken`` and ``names``, and whose line to the marker crosses
    no other name; or else the place with the least of that."""

    def trouble(box: _Box) -> float:
        outside = (box[2] - box[0]) * (box[3] - box[1]) - _common(box, inside)
        crossed = [_around(x, y, 4, 4) for x, y in _leader(anchor, radius, box)]
        return (
            outside
            + sum(_common(box, other) for other in taken)
            + 100 * sum(_common(part, name) for part in [box, *crossed] for name in names)
        )

    places = list(_places(anchor, radius, size))
    return next((box for box in places if trouble(box) < 1), None) or min(places, key=trouble)


def _places(anchor: tuple[float, float], radius: float, size: tuple[float, float]) -> Iterator[_Box]:
    for gap, turn in product(range(2, 400, 14), (0, 8, 2, 14, 6, 10, 4, 12, 1, 15, 7, 9, 3, 13, 5, 11)):
        x, y = math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)
        reach = radius + gap
        yield _around(anchor[0] + x * (reach + size[0] / 2), anchor[1] + y * (reach + size[1] / 2), *size)


def _around(x: float, y: float, width: float, height: float) -> _Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _common(a: Sequence[float], b: Sequence[float]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _leader(anchor: tuple[float, float], radius: float, box: _Box) -> list[tuple[float, float]]:
    """Points of the line from the marker to a label that is not right beside it; else none."""
    x, y = min(max(anchor[0], box[0]), box[2]), min(max(anchor[1], box[1]), box[3])
    length = math.hypot(x - anchor[0], y - anchor[1])
    if length <= radius + 10:
        return []
    count = 2 + int((length - radius) / 4)
    shares = [(radius + (length - radius) * number / (count - 1)) / length for number in range(count)]
    return [(anchor[0] + (x - anchor[0]) * share, anchor[1] + (y - anchor[1]) * share) for share in shares]


def _drawn(figure: Any, box: _Box, leader: Sequence[tuple[float, float]], colour: str) -> None:
    """A white ground for a label, so that no grid runs through it, and its leader."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.transforms import IdentityTransform

    ground = Rectangle(box[:2], box[2] - box[0], box[3] - box[1], facecolor="white", edgecolor="none", zorder=3)
    line = Line2D(*zip(*leader, strict=True), color=colour, linewidth=0.8, linestyle="-", zorder=4) if leader else None
    for artist in filter(None, (ground, line)):
        artist.set_transform(IdentityTransform())
        figure.add_artist(artist)
