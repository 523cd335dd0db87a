"""``embedkit inspect``, ``verify`` and ``demo``: what a bundle is, and whether it works here."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from . import app
from .options import BundleArgument, JsonOption, Loading
from .printing import as_json


@app.command(
    short_help="What a bundle is: roles, variants, measured quality.",
    epilog="\b\nExamples:\n  embedkit inspect bundle\n  embedkit inspect bundle --engine auto    also which engine computes here, and why",
)
def inspect(
    bundle: BundleArgument,
    engine: Annotated[
        str,
        typer.Option(
            help="Load the bundle too with this engine (auto, onnxruntime, openvino, ...): which computes here, and why."
        ),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Show what a bundle is: roles, templates, dimensions, variants with their measured quality, fingerprint."""
    from ..bundle import Bundle
    from ..inspection import describe, summary

    opened = Bundle.open(bundle)
    encoder = Loading(engine=engine).load(bundle) if engine else None
    if json:
        loaded = (
            {name: getattr(encoder, name) for name in ("engine", "why", "variant", "device", "threads")}
            if encoder
            else None
        )
        print(as_json(summary(opened) | ({"loaded": loaded} if loaded else {})))
        return
    print(describe(opened))
    if encoder:
        print(f"engine       {encoder.engine}, variant {encoder.variant}, device {encoder.device}: {encoder.why}")


@app.command(short_help="Check a bundle's files and vectors on this machine.")
def verify(
    bundle: BundleArgument,
    variant: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Check this variant only; can be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    json: JsonOption = False,
) -> None:
    """Check that a bundle is unchanged and that this machine computes the vectors that its exporter did."""
    from ..verification import verify as run

    report = run(bundle, variants=variant or None, device=device)
    print(report.to_json() if json else report)
    if not report.passed:
        raise typer.Exit(1)


@app.command(short_help="A real model, real documents, a few questions.")
def demo(
    folder: Annotated[str, typer.Option(metavar="FOLDER", help="Where the bundle and the index are kept.")] = ".demo",
) -> None:
    """Export all-MiniLM-L6-v2, index the docstrings of Python's standard library, and ask them a few questions."""
    from ..demo import run

    run(folder)
