"""``embedkit eval``: how good bundles are on labelled data, side by side."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import Loading
from embedkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from embedkit.encoders.base import TextEncoder
    from embedkit.evaluation import Task


def _several(name: str, metavar: str, help: str) -> Callable[[Any], Any]:
    return click.option(name, multiple=True, metavar=metavar, help=help)


@app.command(
    "eval",
    short_help="How good bundles are on labelled data, with intervals.",
    epilog="\b\nExamples:\n"
    "  embedkit eval bundle --retrieval scifact --sts stsb.tsv\n"
    "  embedkit eval bundle --variant fp32 --variant int8 --sts stsb.tsv --picture stsb.png\n"
    "  embedkit eval small large --classify train.tsv --test test.tsv --output report.jsonl\n"
    "  embedkit eval bundle --retrieval xquad-en --queries xquad-de/queries.jsonl --queries xquad-zh/queries.jsonl\n\n"
    "Files are JSON lines (.jsonl), tables with a header (.tsv without quoting, .csv) or plain text, and may be gzipped. "
    "Needs the extra eval:\n\n\b\n  pip install 'embedkit-onnx[eval]'",
)
@argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", help="Folders that embedkit-export made.")
@_several("--retrieval", "DIR", "Search: a folder as BEIR's: corpus (or docs).jsonl, queries.jsonl, qrels.tsv.")
@_several("--sts", "FILE", "Likeness: sentence1, sentence2 (or text1, text2) and a score; correlations.")
@_several(
    "--pairs", "FILE", "The same or not: text1, text2 and a label 1 or 0; telling them apart by the best threshold."
)
@_several("--classify", "FILE", "Classes: text and label; what a simple classifier reads out of the vectors.")
@_several("--texts", "FILE", "No labels: texts, one a line, or a field text; how the vectors lie in space.")
@click.option(
    "--k",
    "at",
    multiple=True,
    type=click.IntRange(1, 1_000),
    help="The depth of --retrieval's measures.  [default: 10]",
)
@_several("--queries", "FILE", "--retrieval's queries in another language or other words, by the same ids: asked too.")
@click.option("--split", metavar="NAME", help="Which judgements of --retrieval: qrels/NAME.tsv.  [default: test]")
@click.option(
    "--ignore-identical-ids",
    is_flag=True,
    help="With --retrieval: a query does not find the document with its own id.",
)
@click.option(
    "--test", metavar="FILE", help="The texts to test --classify on; else its column split, or a quarter of it."
)
@click.option("--classifier", help="Of --classify: logistic (regression) or knn (10 nearest).  [default: logistic]")
@click.option("--role", metavar="ROLE", help="The role of all texts but those of --retrieval.  [default: default]")
@click.option("--similarity", metavar="MEASURE", help="cosine, dot or euclidean; by default each model's own.")
@click.option(
    "--variant", "variants", multiple=True, help="A variant of each bundle (or auto); can be repeated.  [default: auto]"
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:N, or cuda:N,M for several.")
@click.option("--engine", default="auto", help="What computes: auto, onnxruntime or openvino.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; by default all that may be used.")
@click.option("--resamples", default=1_000, type=click.IntRange(min=0), help="Draws for the intervals; 0 for none.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Of these draws, and of a split that is made.")
@click.option("--output", metavar="FILE", help="Write the reports as JSON to this file too, a line a data set.")
@click.option("--picture", metavar="FILE", help="Draw the measures with their intervals: FILE.png or FILE.svg.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option("--json", is_flag=True, help="Print JSON instead of a table, a line a data set.")
def evaluate(
    bundles: tuple[str, ...],
    retrieval: tuple[str, ...],
    sts: tuple[str, ...],
    pairs: tuple[str, ...],
    classify: tuple[str, ...],
    texts: tuple[str, ...],
    at: tuple[int, ...],
    queries: tuple[str, ...],
    split: str | None,
    ignore_identical_ids: bool,
    test: str | None,
    classifier: str | None,
    role: str | None,
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
    """Measure bundles (and several variants of each) on data, side by side.

    Give one data set or several, with any of the first five options, which can be repeated; there is a table for each.
    A measure has its 95 % interval by the bootstrap, and where there are several encoders the difference to the first,
    with an interval of its own: one that leaves out 0 is more than chance.
    """
    if not (retrieval or sts or pairs or classify or texts):
        raise click.UsageError("give data: --retrieval DIR, --sts FILE, --pairs FILE, --classify FILE or --texts FILE")
    _together("--retrieval", bool(retrieval), {"--k": at, "--queries": queries, "--split": split})
    _together("--retrieval", bool(retrieval), {"--ignore-identical-ids": ignore_identical_ids})
    _together("--classify", bool(classify), {"--test": test, "--classifier": classifier})
    _together("--retrieval, --sts or --pairs", bool(retrieval or sts or pairs), {"--similarity": similarity})
    _together("--sts, --pairs, --classify or --texts", bool(sts or pairs or classify or texts), {"--role": role})
    for name, several, option in (("--retrieval", retrieval, queries), ("--classify", classify, test)):
        if option and len(several) > 1:
            raise click.UsageError(f"give {'--queries' if option is queries else '--test'} with one {name} only")
    from embedkit import evaluation
    from embedkit.bundle.folder import Bundle
    from embedkit.evaluation.picture import check_picture
    from embedkit.evaluation.scores import Similarity, check_similarity
    from embedkit.evaluation.tasks.classification import Classifier
    from embedkit.system.extras import needed

    # What would fail at the end of long work fails before it.
    if picture is not None:
        check_picture(picture)
        needed("matplotlib", "drawing the picture")
    for path in filter(None, (output, picture)):
        if not os.path.isdir(os.path.dirname(path) or ".") or os.path.isdir(path):
            raise InputError(f"{path}: expected the name of a file in a folder that exists")
    for bundle in bundles:
        Bundle.open(bundle)
    check_similarity(similarity)
    fn, how = cast("Similarity | None", similarity), cast("Classifier", classifier or "logistic")
    role = role or "default"
    tasks: list[Task] = [
        *(
            evaluation.Retrieval.read(
                folder,
                split=split or "test",
                similarity=fn,
                ignore_identical_ids=ignore_identical_ids,
                at=at or (10,),
                wordings=queries,
            )
            for folder in retrieval
        ),
        *(evaluation.Similarities.read(file, role=role, similarity=fn) for file in sts),
        *(evaluation.Pairs.read(file, role=role, similarity=fn) for file in pairs),
        *(evaluation.Classification.read(file, test=test, role=role, seed=seed, classifier=how) for file in classify),
        *(evaluation.Texts.read(file, role=role) for file in texts),
    ]
    encoders: dict[str, Callable[[], TextEncoder]] = {}
    for bundle, name in zip(bundles, _names(bundles), strict=True):
        for variant in variants or ("auto",):
            loading = Loading(variant=variant, device=device, engine=engine, threads=threads)
            label = f"{name}:{variant}" if variants else name
            if label in encoders:
                raise click.UsageError(f"expected each bundle and each variant once, found {label} again")
            encoders[label] = partial(loading.load, bundle)
    reports = evaluation.evaluate_all(tasks, encoders, resamples=resamples, seed=seed, progress=not quiet)
    lines = "\n".join(report.to_json() for report in reports)
    if output is not None:
        with open(output, "w", encoding="utf-8") as file:
            file.write(lines + "\n")
    if picture is not None:
        evaluation.draw(reports, picture)
    print(lines if json else "\n\n".join(map(str, reports)))


def _together(wanted: str, given: bool, options: Mapping[str, object]) -> None:
    """A usage error for an option that says something of data that is not given."""
    for name, value in options.items():
        if value and not given:
            raise click.UsageError(f"give {name} with {wanted} only")


def _names(bundles: tuple[str, ...]) -> list[str]:
    """The folders' names; the whole path of those that share one."""
    short = [os.path.basename(os.path.normpath(os.path.abspath(bundle))) for bundle in bundles]
    counts = Counter(short)
    return [name if counts[name] == 1 else bundle for name, bundle in zip(short, bundles, strict=True)]
