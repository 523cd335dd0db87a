"""The page docs/models.md: what was found, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from .comparison import Comparison


def table(found: Sequence[Comparison]) -> str:
    """The page."""
    return "\n".join(f"| {one.name} | {one.recipe} | {one.verdict} |" for one in found)
