"""The pictures of the pages, light and dark: charts of what was measured, and the ways of a text and of a row.

    python benchmarks/pictures/charts.py [--output docs/images]

The numbers are in measured.json, each group with the command that repeats it; they stand as text beside the pictures. A picture
is 600 pixels wide, so that it is read where a page is narrow.
"""

from __future__ import annotations

import argparse
import json
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


def pictures() -> dict[str, str]:
    """Every picture by the name of its file."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    found = {}
    for theme in THEMES:
        found[f"peers-{theme.name}.svg"] = peers(measured, theme)
        found[f"fidelity-{theme.name}.svg"] = fidelity(measured, theme)
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
