"""A picture of evaluations: each measure with its interval, the encoders side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from embedkit.errors import DiskError, InputError, OptionError
from embedkit.system.extras import needed

from .measures import described
from .report import Estimate, EvaluationReport, interval, number, signed

_COLUMNS = 3
_WIDTH = 3.4  # of a panel, in inches
_HEAD = 1.1  # of a section, in inches
_DPI = 150
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which people tell apart whatever their colour vision."""
_INK, _FAINT = "#222222", "#d9d9d9"
_FONT: dict[str, Any] = {
    "fontfamily": "DejaVu Sans",
    "color": _INK,
    "parse_math": False,
}  # which matplotlib brings along
_NAME = 28
_TITLE = 90


def draw(report: EvaluationReport | Sequence[EvaluationReport], path: str | os.PathLike[str]) -> None:
    """Write a picture, PNG or SVG by its name, of a report or of several below each other: a panel for each measure with
    a point and its interval for each encoder, the first one's value as a dashed line. Each panel has its own scale.

    The same reports give the same bytes, with the same versions of matplotlib and Pillow. Raises `InputError` for a name
    of another kind or where the file cannot be written, and `MissingExtraError` without matplotlib.
    """
    kind = check_picture(path)
    matplotlib = needed("matplotlib", "drawing the picture")
    figures = needed("matplotlib.figure", "drawing the picture")
    canvases = needed(f"matplotlib.backends.backend_{'agg' if kind == 'png' else 'svg'}", "drawing the picture")
    reports = [report] if isinstance(report, EvaluationReport) else list(report)
    if not reports:
        raise InputError("reports: expected at least one, found none")
    drawn = [[name for name in one.measures if _finite(one, name)] for one in reports]
    widest = max(len(_cut(result.name, _NAME)) for one in reports for result in one.results)
    columns = min(_COLUMNS, max(1, *map(len, drawn)))
    margin = 0.35 + 0.085 * widest
    width = max(margin + _WIDTH * columns, 6.5)
    heights = [
        _HEAD + math.ceil(len(names) / columns) * _panel_height(one) for one, names in zip(reports, drawn, strict=True)
    ]
    height = sum(heights)
    # Ids of an SVG's parts are random without a salt.
    with matplotlib.rc_context({"svg.hashsalt": "embedkit"}):
        figure = figures.Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        canvas = canvases.FigureCanvasAgg(figure) if kind == "png" else canvases.FigureCanvasSVG(figure)
        top = height
        for one, names, tall in zip(reports, drawn, heights, strict=True):
            _section(figure, one, names, top, columns, margin)
            top -= tall
        try:
            with open(path, "wb") as file:
                if kind == "png":
                    canvas.draw()
                    # Software is matplotlib's version, which would change the file though not the picture.
                    canvas.print_png(file, metadata={"Software": None})
                else:
                    canvas.print_svg(file, metadata={"Date": None, "Creator": None})
        except OSError as error:
            raise DiskError(
                f"{os.fspath(path)}: {error.strerror}; name a file in a folder that exists", error, filename=path
            ) from error


def check_picture(path: str | os.PathLike[str]) -> str:
    """``png`` or ``svg``, as the name of a picture says; else `OptionError`."""
    kind = os.path.splitext(os.fspath(path))[1].lower()
    if kind not in (".png", ".svg"):
        raise OptionError(f"picture: expected a name that ends in .png or .svg, found {os.fspath(path)!r}")
    return kind[1:]


def _finite(report: EvaluationReport, measure: str) -> bool:
    found = [result.estimates[measure] for result in report.results if measure in result.estimates]
    return any(math.isfinite(estimate.value) for estimate in found)


def _panel_height(report: EvaluationReport) -> float:
    return 0.75 + 0.34 * len(report.results)


def _section(
    figure: Any, report: EvaluationReport, measures: list[str], top: float, columns: int, margin: float
) -> None:
    """A report's heading and panels, from ``top`` inches above the figure's lower edge downwards."""
    width, height = figure.get_size_inches()
    names = [_cut(result.name, _NAME) for result in report.results]
    panel, share = _panel_height(report), (width - margin) / columns
    for index, measure in enumerate(measures):
        line, column = divmod(index, columns)
        box = (
            (margin + share * column) / width,
            (top - _HEAD - panel * line - (panel - 0.65)) / height,
            (share - 0.3) / width,
            (panel - 0.65) / height,
        )
        _panel(figure.add_axes(box, facecolor="white"), report, measure, names if column == 0 else None)
    size = ", ".join(f"{count:,} {what}" for what, count in report.size.items())
    how = f"Lines: {100 * report.confidence:g} % intervals by {report.resamples:,} resamples of the {report.units}. "
    scale = "Each panel has its own scale." if len(measures) > 1 else ""
    about = [(how if report.estimated else "") + scale]
    if len(names) > 1:
        about.append("Dashed: the first encoder. In brackets: the interval of the difference to it.")
    longest = int(_TITLE * width / 10.5)
    title = f"{report.task} on {os.path.basename(os.path.normpath(report.source))}: {size}"
    figure.text(0.12 / width, (top - 0.3) / height, _cut(title, longest), fontsize=12, fontweight="bold", **_FONT)
    for line, words in enumerate(about):
        place = (0.12 / width, (top - 0.52 - 0.17 * line) / height)
        figure.text(*place, _cut(words, int(1.75 * longest)), fontsize=8.5, **_FONT)


def _panel(axes: Any, report: EvaluationReport, measure: str, names: list[str] | None) -> None:
    label, better = described(measure)
    ends: list[float] = []
    for row, result in enumerate(report.results):
        estimate, colour = result.estimates.get(measure), _COLOURS[row % len(_COLOURS)]
        if estimate is None or not math.isfinite(estimate.value):
            continue
        if row == 0:
            axes.axvline(estimate.value, color=_INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        if estimate.interval:
            axes.plot(estimate.interval, [row, row], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot([estimate.value], [row], marker="o", markersize=5.5, color=colour, linestyle="", zorder=3)
        ends += [estimate.value, *(estimate.interval or ())]
    middle = (min(ends) + max(ends)) / 2
    # A hundredth at least, or rounding would look like a cliff.
    span = max(1.35 * (max(ends) - min(ends)), 0.01, 1e-3 * abs(middle))
    axes.set_xlim(middle - span / 2, middle + span / 2)
    for row, result in enumerate(report.results):
        if (estimate := result.estimates.get(measure)) is not None and math.isfinite(estimate.value):
            _label(axes, row, estimate, (estimate.value - middle) / span)
    axes.set_ylim(len(report.results) - 0.5, -0.75)
    axes.locator_params(axis="x", nbins=4)
    axes.set_yticks(range(len(report.results)), names or [""] * len(report.results), fontsize=9, **_FONT)
    axes.set_title(label + (", lower is better" if better < 0 else ""), loc="left", fontsize=9.5, pad=4, **_FONT)
    axes.tick_params(axis="x", labelsize=7.5, color=_FAINT, labelcolor=_INK, labelfontfamily="DejaVu Sans")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set(visible=side == "bottom", color=_INK, linewidth=0.8)


def _label(axes: Any, row: int, estimate: Estimate, place: float) -> None:
    """A row's value, with the interval of its difference; ``place`` is -0.5 at the panel's left edge, 0.5 at its right."""
    difference = estimate.difference and interval(estimate.difference.interval, signed)
    axes.annotate(
        number(estimate.value) + (f" ({difference})" if difference else ""),
        (estimate.value, row),
        xytext=(0, 5.5),
        textcoords="offset points",
        ha="left" if place < -0.2 else "right" if place > 0.2 else "center",
        fontsize=7.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        zorder=4,
        **_FONT,
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
