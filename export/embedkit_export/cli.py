"""The command ``embedkit-export``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from embedkit.cli.click_ext import Command, argument
from embedkit.errors import EmbedkitError
from embedkit.system.files.words import begin_in_utf_8

MISSING = 3
"""The exit code where the bundle was written without a variant that was asked for."""

_PATH = click.Path(path_type=Path)
_EPILOG = (
    "Examples:  embedkit-export ./my-model --output ./bundle    |    "
    "embedkit-export ./bert --pooling first --normalize --output ./bundle --sample texts.jsonl    |    "
    "embedkit-export ./model --recipe recipe.toml --dry-run    |    embedkit-export ./bundle --explain    |    "
    "then:  embedkit verify ./bundle"
)


def _gate_option(name: str, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(name, multiple=True, metavar="[VARIANT=]NUMBER", help=help)


@click.command("embedkit-export", cls=Command, epilog=_EPILOG, context_settings={"show_default": True})
@argument(
    "model",
    metavar="MODEL",
    help="A sentence-transformers or transformers folder, a peft adapter's, a .gguf file, or a hub name; a bundle with --explain.",
)
@click.option(
    "--output",
    "-o",
    type=_PATH,
    help="The bundle's folder. Nothing is left there if the export fails; one that was cut goes on "
    "when the same command is given again.",
)
@click.option(
    "--variants",
    help="Precisions to write, separated by commas: fp32, fp16 (for a GPU), int8 (the fastest on CPU), w8 and w4 (weights in "
    "8 or 4 bits, the smallest). One that fails its gate is tried in safer forms. By default fp32,int8, and fp32 alone "
    "where there is nothing to quantise.",
)
@click.option(
    "--sample",
    type=_PATH,
    help='What the model will read, for calibration and the quality gate: JSON lines with a "text", or one text a line; with '
    'labels: pairs ("text1", "text2", "score"), searches ("query", "relevant"), or a folder in BEIR form. By default '
    "docstrings of Python's standard library.",
)
@click.option(
    "--recipe",
    type=_PATH,
    help="A TOML file that says what the model does not: roles, templates, truncation, pooling, stages, surgery.",
)
@click.option("--pooling", help="first (cls), mean, max, last or pooler; only for a plain transformers folder.")
@click.option("--normalize/--no-normalize", default=None, help="Unit length; only for a plain transformers folder.")
@click.option("--max-tokens", type=int, help="Read fewer tokens than the model does by itself.")
@_gate_option(
    "--min-cosine",
    "Gate: the worst cosine with torch that a variant may have, 0.98 by default; VARIANT=NUMBER for one variant, "
    "as often as needed (--min-cosine 0.99 --min-cosine w4=0.9).",
)
@_gate_option(
    "--min-mean-cosine",
    "Gate: the mean cosine with torch that a variant must reach, 0.99 by default; likewise.",
)
@_gate_option(
    "--min-overlap",
    "Gate: the share of each text's ten nearest texts that must stay, 0.8 by default; likewise.",
)
@_gate_option(
    "--max-loss",
    "Gate: the most that a variant may lose on the sample's labels, of 1, 0.02 by default; likewise.",
)
@click.option("--revision", help="Branch, tag or commit of a hub name.")
@click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model. Read it first.")
@click.option(
    "--kind",
    default="auto",
    help="What is made of a text: dense, sparse or multivector (a vector for each token). By itself it is what the model's files "
    "say, and dense for a plain transformers folder.",
)
@click.option(
    "--late",
    is_flag=True,
    help="Give each token's vector too, so that embedkit ingest --chunk 256 --late can pool the chunks of a document that is read "
    "whole; for models that pool by the mean of tokens.",
)
@click.option("--dry-run", is_flag=True, help="Show the recipe and why it is so; write nothing.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show each variant's operators, bytes, and time per operator (of an export, or of a bundle).",
)
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there.")
@click.option("--timing/--no-timing", default=True, help="Measure speeds; without, two exports are the same bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing of the steps while they go.")
def app(
    model: str,
    output: Path | None,
    variants: str | None,
    sample: Path | None,
    recipe: Path | None,
    pooling: str | None,
    normalize: bool | None,
    max_tokens: int | None,
    min_cosine: tuple[str, ...],
    min_mean_cosine: tuple[str, ...],
    min_overlap: tuple[str, ...],
    max_loss: tuple[str, ...],
    revision: str | None,
    trust_remote_code: bool,
    kind: str,
    late: bool,
    dry_run: bool,
    explain: bool,
    overwrite: bool,
    timing: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn a trained PyTorch text encoder into a quantised ONNX bundle.

    Prompts, maximal length, pooling, dense layers and normalisation are read from the model, or from a recipe, and put
    inside the graph. Each variant is compared with torch on ragged, hostile and typical texts before anything is
    written. Exit code 0: all is written; 1: nothing is, with the reasons; 3: all but a variant that failed its gate.
    """
    # Each way imports only what it needs: a dry run writes no graph, and `explain` loads no model.
    if explain and (Path(model) / "embedkit.json").is_file():
        from . import explain as profiles

        _explain(profiles(Path(model)), as_json)
        return
    if dry_run:
        from embedkit_export.sources.lean import import_libraries

        import_libraries()
        from . import prepare

        prepared = prepare(
            model,
            recipe=recipe,
            pooling=pooling,
            normalize=normalize,
            max_tokens=max_tokens,
            revision=revision,
            trust_remote_code=trust_remote_code,
            kind=kind,
            late=late,
        )
        print(json.dumps({"recipe": prepared.text().splitlines()}) if as_json else prepared.text())
        return
    from embedkit_export.verification.gates import from_options

    from . import explain as profiles
    from . import export as run

    if output is None:
        raise click.BadParameter("say where the bundle goes, or pass --dry-run", param_hint="--output")
    gates = from_options(
        {
            "cosine_min": min_cosine,
            "cosine_mean": min_mean_cosine,
            "top10_overlap": min_overlap,
            "labels": max_loss,
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
        kind=kind,
        late=late,
        timing=timing,
        progress=not quiet,
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
        sys.exit(MISSING)


def _explain(found: list[Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(profile) for profile in found]))
    else:
        print("\n".join(profile.text() for profile in found))


def main() -> None:
    """Run the command; an error of embedkit's own is one message on standard error and exit code 1."""
    begin_in_utf_8()
    try:
        app()
    except EmbedkitError as error:
        if os.environ.get("EMBEDKIT_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
