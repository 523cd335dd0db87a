"""What a model states of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from .recipe import Recipe


@dataclass
class Inferred:
    """A recipe, why each part of it is as it is, and what the user should know of it."""

    recipe: Recipe
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stated: bool = False
    """Whether the model itself is the reference: nothing of its own statement was changed."""
