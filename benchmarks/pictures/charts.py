"""The pictures of the pages, light and dark: charts of what was measured, and the ways of a text and of a row.

    python benchmarks/pictures/charts.py [--output docs/images]

The numbers are in measured.json, each group with the command that repeats it; they stand as text beside the pictures. A picture
is 600 pixels wide, so that it is read where a page is narrow.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH = 600
MEASURED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Theme:
    """The colours of a picture."""

    name: str
    text: str
    quiet: str
    own: str
    other: str
    box: str


THEMES = (
    Theme("light", "#1f2328", "#59636e", "#1f6fa8", "#a8b3bd", "#eef4f9"),
    Theme("dark", "#e6edf3", "#9aa5b1", "#5cb0e8", "#5a6570", "#1c2a36"),
)


_SHAPES = {"sqlite-vec": "circle", "lancedb": "square", "qdrant-edge": "triangle", "pgvector": "diamond"}
"""A store's mark."""


def svg(height: int, parts: list[str], label: str) -> str:
    """A picture of these parts."""
    style = 'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" {style}>'
    return "\n".join([head, f"<title>{escape(label)}</title>", *parts, "</svg>", ""])


def words(
    x: float, y: float, text: str, color: str, *, size: int = 14, anchor: str = "start", bold: bool = False
) -> str:
    """A line of text."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def bars(title: str, rows: list[tuple[str, float, str]], theme: Theme, top: int) -> tuple[list[str], int]:
    """Horizontal bars under a title, with their numbers; the parts and where they end. Names of embedkit stand out."""
    left, right, step = 235, 70, 26
    most = max(value for _, value, _ in rows)
    parts = [words(0, top + 16, title, theme.text, size=15, bold=True)]
    y = top + 28
    for name, value, shown in rows:
        own = name.startswith("embedkit") or name in ("int8", "fp32")
        width = max(2, (WIDTH - left - right) * value / most)
        parts.append(words(left - 8, y + 16, name, theme.text, size=13, anchor="end", bold=own))
        parts.append(
            f'<rect x="{left}" y="{y + 3}" width="{width:.1f}" height="18" rx="2" fill="{theme.own if own else theme.other}"/>'
        )
        parts.append(words(left + width + 6, y + 16, shown, theme.text, size=13))
        y += step
    return parts, y + 8


def peers(measured: dict, theme: Theme) -> str:
    """Documents a second and peak memory, beside others."""
    systems = measured["peers"]["systems"]
    first, end = bars(
        "documents per second (more is better)",
        [(s["name"], s["documents_per_second"], f"{s['documents_per_second']:,}") for s in systems],
        theme,
        0,
    )
    second, end = bars(
        "peak memory, MB (less is better)",
        [(s["name"], s["peak_mb"], f"{s['peak_mb']:,}") for s in systems],
        theme,
        end + 6,
    )
    return svg(end, [*first, *second], "Documents per second and peak memory")


def fidelity(measured: dict, theme: Theme) -> str:
    """How far the worst cosine is from 1, and the size, of each precision."""
    variants = measured["fidelity"]["variants"]
    first, end = bars(
        "1 - worst cosine with torch (less is better)",
        [(v["name"], 1 - v["worst_cosine"], f"{1 - v['worst_cosine']:.4f}") for v in variants],
        theme,
        0,
    )
    second, end = bars("MB (less is better)", [(v["name"], v["mb"], f"{v['mb']:g}") for v in variants], theme, end + 6)
    return svg(end, [*first, *second], "Fidelity and size of each precision")


WAYS = {
    "text": [
        ("a text", "and its role: query, document, ..."),
        ("template", "the prompt that the model was trained with"),
        ("tokens", "tokenizer.json; what is too long is cut and counted"),
        ("batches", "sorted by length, a bounded number of token slots"),
        ("graph", "onnxruntime or openvino; pooling and stages inside"),
        ("a vector", "float32, in the order of the texts"),
    ],
    "row": [
        ("a row", "of a file, a folder, a table, standard input"),
        ("document", "id, text, metadata; else a dead letter with its reason"),
        ("once", "an id that was read before is a duplicate"),
        ("hash", "the store has it already: unchanged, skipped"),
        ("encode", "each distinct text once, while rows before are written"),
        ("write", "upsert by id; chunks that are no more are removed"),
    ],
}


def way(steps: list[tuple[str, str]], theme: Theme, label: str) -> str:
    """Steps below each other, with arrows between them."""
    parts, height, gap, left = [], 40, 20, 8
    for i, (name, about) in enumerate(steps):
        y = 4 + i * (height + gap)
        parts.append(
            f'<rect x="{left}" y="{y}" width="110" height="{height}" rx="6" fill="{theme.box}" stroke="{theme.own}"/>'
        )
        parts.append(words(left + 55, y + 25, name, theme.text, anchor="middle", bold=True))
        parts.append(words(left + 126, y + 25, about, theme.quiet))
        if i + 1 < len(steps):
            x, end = left + 55, y + height + gap
            arrow = f"M{x} {y + height} V{end - 5} M{x - 5} {end - 7} L{x} {end - 1} L{x + 5} {end - 7}"
            parts.append(f'<path d="{arrow}" fill="none" stroke="{theme.own}" stroke-width="2"/>')
    return svg(len(steps) * (height + gap), parts, label)


def precisions(measured: dict, theme: Theme) -> str:
    """A row for each precision with a mark for each store: left recall, right the bytes of a row."""
    top, tall = 78, 42
    found = measured["precisions"]["rows"]
    names = list(dict.fromkeys(row["precision"] for row in found))
    height = top + tall * len(names) + 40
    low = math.floor(10 * min(row["recall"] for row in found)) / 10
    most = 1000 * math.ceil(max(row["row_bytes"] or 0 for row in found) / 1000)
    panels = {
        "recall": (110, 320, low, 1.0, [f"{step / 10:.1f}" for step in range(round(10 * low), 11)]),
        "row_bytes": (360, 570, 0.0, most, [f"{step:,}" for step in range(0, most + 1, 1000)]),
    }
    parts = [words(110, 16, "recall@10", theme.text, size=15, bold=True)]
    parts.append(words(360, 16, "bytes of a row", theme.text, size=15, bold=True))
    for left, right, _, _, told in panels.values():
        for i, text in enumerate(told):
            x = left + (right - left) * i / (len(told) - 1)
            parts.append(f'<path d="M{x:.1f} {top} V{height - 36}" stroke="{theme.other}" stroke-width="0.5"/>')
            parts.append(words(x, height - 18, text, theme.quiet, size=12, anchor="middle"))
    for i, (name, shape) in enumerate(_SHAPES.items()):
        parts += [mark(shape, 116 + 110 * i, 42, theme.text), words(128 + 110 * i, 47, name, theme.text, size=13)]
    for i, precision in enumerate(names):
        middle = top + tall * (i + 0.5)
        parts.append(words(96, middle + 5, precision, theme.text, size=13, anchor="end"))
        for row in (row for row in found if row["precision"] == precision):
            y = middle + 8 * (list(_SHAPES).index(row["store"]) - (len(_SHAPES) - 1) / 2)
            for what, (left, right, least, full, _) in panels.items():
                if row[what] is not None:
                    x = left + (right - left) * (row[what] - least) / (full - least)
                    parts.append(mark(_SHAPES[row["store"]], x, y, theme.own))
    return svg(height, parts, "Recall and bytes of each precision in each store")


def mark(shape: str, x: float, y: float, color: str) -> str:
    """A point."""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{color}" stroke-width="2"/>'
    corners = {
        "square": [(-5, -5), (5, -5), (5, 5), (-5, 5)],
        "triangle": [(0, -6), (6, 5), (-6, 5)],
        "diamond": [(0, -7), (7, 0), (0, 7), (-7, 0)],
    }[shape]
    path = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'


def pictures() -> dict[str, str]:
    """Every picture by the name of its file."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    found = {}
    for theme in THEMES:
        found[f"peers-{theme.name}.svg"] = peers(measured, theme)
        found[f"fidelity-{theme.name}.svg"] = fidelity(measured, theme)
        found[f"precisions-{theme.name}.svg"] = precisions(measured, theme)
        for name, steps in WAYS.items():
            found[f"{name}-{theme.name}.svg"] = way(steps, theme, f"The way of a {name}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[2] / "docs" / "images")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures().items():
        (output / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
