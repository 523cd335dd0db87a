"""One picture of an evaluation: each measure with its interval, the encoders side by side."""

from __future__ import annotations

import math
import os
from typing import Any

from ..errors import InputError, MissingExtraError
from .report import EvaluationReport, number
from .task import MEASURES

_COLUMNS = 3
_WIDTH = 3.4  # of a panel, in inches
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


def draw(report: EvaluationReport, path: str | os.PathLike[str]) -> None:
    """Write a PNG with a panel for each measure: a point and its interval for each encoder, the first one's value as a
    dashed line. Each panel has its own scale.

    The same report gives the same bytes, with the same versions of matplotlib and Pillow. Raises `InputError` where the
    file cannot be written, and `MissingExtraError` without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "eval", "drawing the picture") from error
    measures = [name for name in report.measures if any(math.isfinite(r.estimates[name].value) for r in report.results)]
    names = [_cut(result.name, _NAME) for result in report.results]
    columns = min(_COLUMNS, max(1, len(measures)))
    lines = math.ceil(max(1, len(measures)) / columns)
    margin = 0.35 + 0.085 * max(map(len, names))
    width = max(margin + _WIDTH * columns, 6.5)
    panel = 0.75 + 0.34 * len(names)
    height = 0.85 + panel * lines
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    for index, measure in enumerate(measures):
        line, column = divmod(index, columns)
        share = (width - margin) / columns
        box = (
            (margin + share * column) / width,
            (height - 0.95 - panel * line - (panel - 0.65)) / height,
            (share - 0.3) / width,
            (panel - 0.65) / height,
        )
        _panel(figure.add_axes(box, facecolor="white"), report, measure, names if column == 0 else None)
    size = ", ".join(f"{count:,} {what}" for what, count in report.size.items())
    how = f"Lines: {100 * report.confidence:g} % intervals by {report.resamples:,} resamples of the {report.units}. "
    about = (how if report.resamples else "") + "Dashed: the first encoder. Each panel has its own scale."
    longest = int(_TITLE * width / 10.5)
    title = f"{report.task} on {os.path.basename(os.path.normpath(report.source))}: {size}"
    figure.text(0.12 / width, 1 - 0.3 / height, _cut(title, longest), fontsize=12, fontweight="bold", **_FONT)
    figure.text(0.12 / width, 1 - 0.52 / height, _cut(about, int(1.45 * longest)), fontsize=8.5, **_FONT)
    canvas.draw()
    try:
        # Software is matplotlib's version, which would change the file though not the picture.
        with open(path, "wb") as file:
            canvas.print_png(file, metadata={"Software": None})
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: {error.strerror}; name a file in a folder that exists") from error


def _panel(axes: Any, report: EvaluationReport, measure: str, names: list[str] | None) -> None:
    label, better = MEASURES[measure]
    ends: list[float] = []
    for row, result in enumerate(report.results):
        estimate, colour = result.estimates[measure], _COLOURS[row % len(_COLOURS)]
        if not math.isfinite(estimate.value):
            continue
        if row == 0:
            axes.axvline(estimate.value, color=_INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        if estimate.interval:
            axes.plot(estimate.interval, [row, row], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot([estimate.value], [row], marker="o", markersize=5.5, color=colour, linestyle="", zorder=3)
        axes.annotate(
            number(estimate.value),
            (estimate.value, row),
            xytext=(0, 5.5),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            zorder=4,
            **_FONT,
        )
        ends += [estimate.value, *(estimate.interval or ())]
    middle = (min(ends) + max(ends)) / 2
    # A hundredth at least, or rounding would look like a cliff.
    span = max(1.35 * (max(ends) - min(ends)), 0.01, 1e-3 * abs(middle))
    axes.set_xlim(middle - span / 2, middle + span / 2)
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


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
