"""``embedkit inspect`` and ``verify``: what a bundle is, and whether it works here."""

from __future__ import annotations

import sys

import click

from embedkit.cli.app import app
from embedkit.cli.options import Loading, bundle_argument, json_option
from embedkit.cli.text_io import as_json, print_json


@app.command(
    short_help="What a bundle is: roles, variants, measured quality.",
    epilog="\b\nExamples:\n  embedkit inspect bundle\n  embedkit inspect bundle --engine auto    also which engine computes here, and why",
)
@bundle_argument
@click.option(
    "--engine",
    help="Load the bundle too with this engine (auto, onnxruntime, openvino, ...): which computes here, and why.",
)
@json_option
def inspect(bundle: str, engine: str | None, json: bool) -> None:
    """Show what a bundle is: roles, templates, dimensions, variants with their measured quality, fingerprint."""
    from embedkit.bundle.folder import Bundle
    from embedkit.bundle.summary import summary, summary_text
    from embedkit.runtime.verification import examine

    opened = Bundle.open(bundle)
    examine(opened)
    encoder = Loading(engine=engine).load(bundle) if engine else None
    if json:
        loaded = (
            {name: getattr(encoder, name) for name in ("engine", "why", "variant", "device", "threads")}
            if encoder
            else None
        )
        print_json(as_json(summary(opened) | ({"loaded": loaded} if loaded else {})))
        return
    print(summary_text(opened))
    if encoder:
        print(f"engine       {encoder.engine}, variant {encoder.variant}, device {encoder.device}: {encoder.why}")


@app.command(short_help="Check a bundle's files and vectors on this machine.")
@bundle_argument
@click.option("--variant", multiple=True, help="Check this variant only; can be repeated.")
@click.option("--device", default="cpu", help="cpu, cuda or cuda:N.")
@json_option
def verify(bundle: str, variant: tuple[str, ...], device: str, json: bool) -> None:
    """Check that a bundle is unchanged and that this machine computes the vectors that its exporter did."""
    from embedkit.runtime.verification import verify as run

    report = run(bundle, variants=variant or None, device=device)
    print_json(report.to_json()) if json else print(report)
    if not report.passed:
        sys.exit(1)
