"""What was measured of a bundle's variants before they were written, as tables: for a terminal, or in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .manifest import Quality, SizeQuality, Variant


@dataclass(frozen=True)
class TextTable:
    """Cells as they are shown; each row has one for each column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Lines of aligned columns, the first to the left and the others to the right; nothing without a row."""
        if not self.rows:
            return ""
        lines = (self.columns, *self.rows)
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """A table of Markdown; nothing without a row."""
        if not self.rows:
            return ""
        head, *body = (f"| {' | '.join(cells)} |" for cells in (self.columns, *self.rows))
        return "\n".join([head, "|-" * len(self.columns) + "|", *body])


def quality_table(variants: Mapping[str, Variant], sizes: Mapping[str, int]) -> TextTable:
    """A row for each variant: its megabytes (of ``sizes``, bytes by variant), how near it is to torch, what it reached on
    the sample's labels, and its speed where that was measured."""
    labels = _labels([variant.quality for variant in variants.values()])
    timed = any(variant.tokens_per_second for variant in variants.values())
    columns = (
        "variant",
        "MB",
        *_NEARNESS,
        "largest difference",
        *labels,
        *(["tokens per CPU-second"] if timed else []),
    )
    return TextTable(
        columns,
        tuple(
            (
                name,
                f"{sizes[name] / 1e6:.1f}",
                *_nearness(variant.quality),
                f"{variant.quality.max_abs:.1e}",
                *_reached(variant.quality, labels),
                *([f"{variant.tokens_per_second:,.0f}" if variant.tokens_per_second else ""] if timed else []),
            )
            for name, variant in variants.items()
        ),
    )


def size_table(variants: Mapping[str, Variant]) -> TextTable:
    """A row for each variant and each smaller size of its vectors that was measured."""
    cuts = [(name, cut) for name, variant in variants.items() for cut in variant.quality.matryoshka]
    labels = _labels([cut for _, cut in cuts])
    return TextTable(
        ("variant", "numbers", *_NEARNESS, *labels),
        tuple((name, str(cut.dim), *_nearness(cut), *_reached(cut, labels)) for name, cut in cuts),
    )


def measure_table(variants: Mapping[str, Variant]) -> TextTable:
    """A row for each measure of a kind of output other than dense, or of a further output; a column for each variant."""
    names = dict.fromkeys(name for variant in variants.values() for name in variant.quality.measures)
    return TextTable(
        ("measured", *variants),
        tuple(
            (name, *(_number(variant.quality.measures.get(name), 5) for variant in variants.values())) for name in names
        ),
    )


_NEARNESS = ("mean cosine", "worst cosine", "top-10 overlap")


def _nearness(quality: Quality | SizeQuality) -> tuple[str, ...]:
    return f"{quality.cosine_mean:.5f}", f"{quality.cosine_min:.5f}", f"{quality.top10_overlap:.3f}"


def _labels(qualities: Sequence[Quality | SizeQuality]) -> list[str]:
    return list(dict.fromkeys(label for quality in qualities for label in quality.labels))


def _reached(quality: Quality | SizeQuality, labels: Sequence[str]) -> list[str]:
    return [_number(quality.labels.get(label), 4) for label in labels]


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
