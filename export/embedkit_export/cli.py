"""The command ``embedkit-export``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from embedkit.errors import EmbedkitError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

MISSING = 3
"""The exit code where the bundle was written without a variant that was asked for."""

_GATE = "[VARIANT=]NUMBER"
_EPILOG = (
    "Examples:  embedkit-export ./my-model --output ./bundle    |    "
    "embedkit-export ./bert --pooling first --normalize --output ./bundle --sample texts.jsonl    |    "
    "embedkit-export ./model --recipe recipe.toml --dry-run    |    embedkit-export ./bundle --explain    |    "
    "then:  embedkit verify ./bundle"
)


@app.command(epilog=_EPILOG)
def export(
    model: Annotated[
        str,
        typer.Argument(
            help="A sentence-transformers or transformers folder, a peft adapter's, a .gguf file, or a hub name; a bundle with --explain.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output", "-o", help="The bundle's folder. Nothing is left there if the export fails.", show_default=False
        ),
    ] = None,
    variants: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Precisions to write, separated by commas: fp32, fp16 (for a GPU), int8 (the fastest on CPU), w8 and w4 (weights in "
            "8 or 4 bits, the smallest). One that fails its gate is tried in safer forms. By default fp32,int8, and fp32 alone "
            "where there is nothing to quantise.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help='What the model will read, for calibration and the quality gate: JSON lines with a "text", or one text a line; with '
            'labels: pairs ("text1", "text2", "score"), searches ("query", "relevant"), or a folder in BEIR form. By default '
            "docstrings of Python's standard library.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="A TOML file that says what the model does not: roles, templates, truncation, pooling, stages, surgery.",
            show_default=False,
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="first (cls), mean, max, last or pooler; only for a plain transformers folder.", show_default=False
        ),
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
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar=_GATE,
            help="Gate: the worst cosine with torch that a variant may have, 0.98 by default; VARIANT=NUMBER for one variant, "
            "as often as needed (--min-cosine 0.99 --min-cosine w4=0.9).",
            show_default=False,
        ),
    ] = None,
    min_mean_cosine: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar=_GATE,
            help="Gate: the mean cosine with torch that a variant must reach, 0.99 by default; likewise.",
            show_default=False,
        ),
    ] = None,
    min_overlap: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar=_GATE,
            help="Gate: the share of each text's ten nearest texts that must stay, 0.8 by default; likewise.",
            show_default=False,
        ),
    ] = None,
    max_loss: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar=_GATE,
            help="Gate: the most that a variant may lose on the sample's labels, of 1, 0.02 by default; likewise.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a hub name.", show_default=False)
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the model. Read it first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the recipe and why it is so; write nothing.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show each variant's operators, bytes, and time per operator (of an export, or of a bundle).",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Measure speeds; without, two exports are the same bytes.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Turn a trained PyTorch text encoder into a quantised ONNX bundle.

    Prompts, maximal length, pooling, dense layers and normalisation are read from the model, or from a recipe, and put
    inside the graph. Each variant is compared with torch on ragged, hostile and typical texts before anything is
    written. Exit code 0: all is written; 1: nothing is, with the reasons; 3: all but a variant that failed its gate.
    """
    from . import explain as profiles
    from . import export as run
    from . import prepare
    from .gates import from_options

    if explain and (Path(model) / "embedkit.json").is_file():
        _explain(profiles(Path(model)), as_json)
        return
    if dry_run:
        prepared = prepare(
            model,
            recipe=recipe,
            pooling=pooling,
            normalize=normalize,
            max_tokens=max_tokens,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
        print(json.dumps({"recipe": prepared.text().splitlines()}) if as_json else prepared.text())
        return
    if output is None:
        raise typer.BadParameter("say where the bundle goes, or pass --dry-run", param_hint="--output")
    gates = from_options(
        {
            "cosine_min": min_cosine or (),
            "cosine_mean": min_mean_cosine or (),
            "top10_overlap": min_overlap or (),
            "labels": max_loss or (),
        }
    )
    if trust_remote_code:
        print(f"warning: code that comes with {model} will be run", file=sys.stderr)
    report = run(
        model,
        output=output,
        variants=None if variants is None else [name.strip() for name in variants.split(",") if name.strip()],
        overwrite=overwrite,
        sample=sample,
        recipe=recipe,
        pooling=pooling,
        normalize=normalize,
        max_tokens=max_tokens,
        gates=gates,
        revision=revision,
        trust_remote_code=trust_remote_code,
        timing=timing,
        progress=not quiet and sys.stderr.isatty(),
    )
    if as_json:
        whole = json.loads(report.to_json())
        if explain:
            whole["profiles"] = [asdict(profile) for profile in profiles(report.path)]
        print(json.dumps(whole))
    else:
        print(report.text())
        print(f"wrote {report.path} in {report.seconds:.0f} s; check it anywhere with  embedkit verify {report.path}")
        if explain:
            _explain(profiles(report.path), as_json)
    if report.missing:
        raise typer.Exit(MISSING)


def _explain(found: list[Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(profile) for profile in found]))
    else:
        print("\n".join(profile.text() for profile in found))


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
