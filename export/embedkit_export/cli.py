"""The command ``embedkit-export``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from embedkit.errors import EmbedkitError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_EPILOG = (
    "Examples:  embedkit-export ./my-model --output ./bundle    |    "
    "embedkit-export ./bert --pooling cls --normalize --output ./bundle --sample texts.jsonl    |    "
    "then:  embedkit verify ./bundle"
)


@app.command(epilog=_EPILOG)
def export(
    model: Annotated[
        str, typer.Argument(help="A sentence-transformers or transformers folder, or a hub name.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The bundle's folder. Nothing is left there if the export fails.", show_default=False
        ),
    ],
    variants: Annotated[str, typer.Option(help="Precisions to write, separated by commas.")] = "fp32,int8",
    sample: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help='Typical texts, for calibration and the quality gate: JSON lines with a "text", or one text a line. '
            "By default docstrings of Python's standard library.",
            show_default=False,
        ),
    ] = None,
    pooling: Annotated[
        str | None, typer.Option(help="cls, mean or max; only for a plain transformers folder.", show_default=False)
    ] = None,
    normalize: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(
            "--normalize/--no-normalize", help="Unit length; only for a plain transformers folder.", show_default=False
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Read fewer tokens than the model does by itself.", show_default=False)
    ] = None,
    min_cosine: Annotated[
        float, typer.Option(help="Gate: the worst cosine with torch that a variant may have.")
    ] = 0.98,
    min_mean_cosine: Annotated[
        float, typer.Option(help="Gate: the mean cosine with torch that a variant must reach.")
    ] = 0.99,
    min_overlap: Annotated[
        float, typer.Option(help="Gate: the share of each text's ten nearest texts that must stay.")
    ] = 0.8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Turn a trained PyTorch text encoder into a quantised ONNX bundle.

    Prompts, maximal length, pooling, dense layers and normalisation are read from the folder and put inside the
    graph. Each variant is compared with torch on ragged, hostile and typical texts before anything is written: a
    variant that differs fails the export with a report and exit code 1.
    """
    from . import Gates
    from . import export as run

    if pooling not in (None, "cls", "mean", "max"):
        raise typer.BadParameter(f"expected cls, mean or max, found {pooling!r}", param_hint="--pooling")
    report = run(
        model,
        output=output,
        variants=[name.strip() for name in variants.split(",") if name.strip()],
        overwrite=overwrite,
        sample=sample,
        pooling=pooling,  # type: ignore[arg-type]
        normalize=normalize,
        max_tokens=max_tokens,
        gates=Gates(cosine_min=min_cosine, cosine_mean=min_mean_cosine, top10_overlap=min_overlap),
        progress=not quiet and sys.stderr.isatty(),
    )
    if as_json:
        print(report.to_json())
    else:
        print(report.text())
        print(f"wrote {report.path} in {report.seconds:.0f} s; check it anywhere with  embedkit verify {report.path}")


def main() -> None:
    """Run the command; an error of embedkit's own is one message on standard error and exit code 1."""
    try:
        app()
    except EmbedkitError as error:
        if os.environ.get("EMBEDKIT_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
