"""Numbers for classes: where a bundle gives them, and the scores or probabilities that they stand for."""

from __future__ import annotations

from embedkit.errors import InputError

from .base import TextEncoder


def logits_output(encoder: TextEncoder) -> str:
    """The name of the bundle's output of kind ``logits``; `InputError` where it has none."""
    given = encoder.outputs()
    for name, output in given.items():
        if output.kind == "logits":
            return name
    kinds = ", ".join(f"{name} ({output.kind})" for name, output in given.items())
    raise InputError(
        f"this bundle gives no numbers for classes or pairs, but {kinds}; export a model that has a head for them"
    )
