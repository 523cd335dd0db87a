"""``embedkit eval``: how good bundles are on labelled data, side by side."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, cast

import click

from ..errors import InputError
from . import app
from .interface import argument
from .options import Loading, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..encoding import TextEncoder
    from ..evaluation import Task
    from ..evaluation.nearness import Similarity


@app.command(
    "eval",
    short_help="How good bundles are on labelled data, with intervals.",
    epilog="\b\nExamples:\n"
    "  embedkit eval bundle --retrieval scifact\n"
    "  embedkit eval bundle --variant fp32 --variant int8 --sts stsb.tsv --picture stsb.png\n"
    "  embedkit eval small large --classify train.tsv --test test.tsv --output report.json",
)
@argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", help="Folders that embedkit-export made.")
@click.option("--sts", metavar="FILE", help="Two sentences and a score a record: correlations.")
@click.option(
    "--retrieval", metavar="DIR", help="A folder as BEIR's: corpus (or docs).jsonl, queries.jsonl, qrels.tsv: search."
)
@click.option(
    "--pairs", metavar="FILE", help="Two texts and a label (1 the same, 0 different) a record: telling them apart."
)
@click.option("--classify", metavar="FILE", help="A text and a label a record: a linear classifier.")
@click.option(
    "--test", metavar="FILE", help="The texts to test --classify on; else its column split, or a quarter of it."
)
@click.option("--split", default="test", metavar="NAME", help="Which judgements of --retrieval: qrels/NAME.tsv.")
@click.option(
    "--ignore-identical-ids",
    is_flag=True,
    help="With --retrieval: a query does not find the document with its own id.",
)
@click.option("--role", default="default", metavar="ROLE", help="The role of all texts but those of --retrieval.")
@click.option("--similarity", metavar="MEASURE", help="cosine, dot or euclidean; by default each model's own.")
@click.option(
    "--variant", "variants", multiple=True, help="A variant of each bundle (or auto); can be repeated.  [default: auto]"
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:N, or cuda:N,M for several.")
@click.option("--engine", default="auto", help="What computes: auto, onnxruntime or openvino.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; by default all that may be used.")
@click.option("--resamples", default=1_000, type=click.IntRange(min=0), help="Draws for the intervals; 0 for none.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Of these draws, and of a split that is made.")
@click.option("--output", metavar="FILE", help="Write the report as JSON to this file too.")
@click.option("--picture", metavar="FILE.png", help="Draw the measures with their intervals.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@json_option
def evaluate(
    bundles: tuple[str, ...],
    sts: str | None,
    retrieval: str | None,
    pairs: str | None,
    classify: str | None,
    test: str | None,
    split: str,
    ignore_identical_ids: bool,
    role: str,
    similarity: str | None,
    variants: tuple[str, ...],
    device: str,
    engine: str,
    threads: int | None,
    resamples: int,
    seed: int,
    output: str | None,
    picture: str | None,
    quiet: bool,
    json: bool,
) -> None:
    """Measure bundles (and several variants of each) on labelled data, side by side.

    Each measure has its 95 % interval by the bootstrap, and beside the first encoder the difference to it with an
    interval of its own: one without 0 is more than chance. Needs the extra eval: pip install 'embedkit-onnx[eval]'.
    """
    if sum(given is not None for given in (sts, retrieval, pairs, classify)) != 1:
        raise click.UsageError("give one of --sts FILE, --retrieval DIR, --pairs FILE and --classify FILE")
    if test is not None and classify is None:
        raise click.UsageError("give --test FILE with --classify only")
    if (ignore_identical_ids or split != "test") and retrieval is None:
        raise click.UsageError("give --ignore-identical-ids and --split with --retrieval only")
    if similarity is not None and classify is not None:
        raise click.UsageError("give --similarity without --classify, which compares no vectors")
    if role != "default" and retrieval is not None:
        raise click.UsageError("give --role without --retrieval, whose roles are query and document")
    if picture is not None and not picture.lower().endswith(".png"):
        raise click.BadParameter(f"expected a name that ends in .png, found {picture!r}", param_hint="--picture")
    from .. import evaluation
    from ..bundle import Bundle
    from ..evaluation.nearness import check_similarity

    # What would fail at the end of long work fails before it.
    for path in filter(None, (output, picture)):
        if not os.path.isdir(os.path.dirname(path) or ".") or os.path.isdir(path):
            raise InputError(f"{path}: expected the name of a file in a folder that exists")
    for bundle in bundles:
        Bundle.open(bundle)
    check_similarity(similarity)
    fn = cast("Similarity | None", similarity)
    task: Task
    if sts is not None:
        task = evaluation.Similarities.read(sts, role=role, similarity=fn)
    elif pairs is not None:
        task = evaluation.Pairs.read(pairs, role=role, similarity=fn)
    elif classify is not None:
        task = evaluation.Classification.read(classify, test=test, role=role, seed=seed)
    else:
        assert retrieval is not None
        task = evaluation.Retrieval.read(
            retrieval, split=split, similarity=fn, ignore_identical_ids=ignore_identical_ids
        )
    encoders: dict[str, Callable[[], TextEncoder]] = {}
    for bundle, name in zip(bundles, _names(bundles), strict=True):
        for variant in variants or ("auto",):
            loading = Loading(variant=variant, device=device, engine=engine, threads=threads)
            label = f"{name}:{variant}" if variants else name
            if label in encoders:
                raise click.UsageError(f"expected each bundle and each variant once, found {label} again")
            encoders[label] = partial(loading.load, bundle)
    report = evaluation.evaluate(task, encoders, resamples=resamples, seed=seed, progress=not quiet)
    if output is not None:
        with open(output, "w", encoding="utf-8") as file:
            file.write(report.to_json() + "\n")
    if picture is not None:
        evaluation.draw(report, picture)
    print(report.to_json() if json else report)


def _names(bundles: tuple[str, ...]) -> list[str]:
    """The folders' names; the whole path of those that share one."""
    short = [os.path.basename(os.path.normpath(os.path.abspath(bundle))) for bundle in bundles]
    counts = Counter(short)
    return [name if counts[name] == 1 else bundle for name, bundle in zip(short, bundles, strict=True)]
