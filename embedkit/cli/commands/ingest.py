"""``embedkit ingest``, ``sync``, ``check`` and ``retry``: from a source of documents to a collection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.cluster import cluster_option
from embedkit.cli.filling.kept_options import KeptOptions, kept_options
from embedkit.cli.filling.run import Run, names_of, reported, tell_skipped
from embedkit.cli.filling.watch import watch as follow
from embedkit.cli.options import (
    Cutting,
    FieldOptions,
    Loading,
    ReadingOptions,
    bundle_argument,
    collection_option,
    columns_options,
    condition,
    cutting_options,
    dead_letters_option,
    dry_run_option,
    fail_option,
    files_argument,
    filter_option,
    json_option,
    loading_options,
    metric_option,
    outputs_option,
    quiet_option,
    reading_options,
    store_option,
    suited,
)
from embedkit.cli.text_io import print_report

if TYPE_CHECKING:
    from embedkit.ingestion import IngestReport


@app.command(
    short_help="Documents into a collection of a vector store.",
    epilog="\b\nExamples:\n"
    "  embedkit ingest bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit ingest bundle notes/*.md --store qdrant://localhost:6333 --collection notes\n"
    "  embedkit ingest bundle manual/ table.csv rows.parquet big.jsonl.gz --store chroma:index --collection all\n"
    "  embedkit ingest bundle manual/ --chunk 256 --overlap 32 --store chroma:index --collection manual\n"
    "  psql -c 'copy t to stdout csv header' | embedkit ingest bundle - --format csv --id-field key --text-field '{a}: {b}' ...\n"
    "  embedkit ingest bundle corpus/ --on ray:10.0.0.1:6379 --threads 4 --store qdrant://10.0.0.2:6333 --collection docs\n"
    "  embedkit ingest bundle docs.jsonl --dim 256 --precision int8+full --index m=32,ef=200 --store qdrant-edge:index --collection docs\n"
    "  embedkit ingest clip photos/ --root photos --store chroma:index --collection photos\n"
    "  embedkit ingest clip photos/table.csv --image-field file --text-field caption --store chroma:index --collection photos\n"
    "\n\b\nA run that was cut is simply run again: what the store has is neither encoded nor written.\n"
    "Bad rows go to docs.dead.jsonl:  embedkit retry  tries them again, repaired there or not.",
)
@bundle_argument
@files_argument
@store_option
@collection_option
@columns_options
@reading_options
@cutting_options
@metric_option
@outputs_option
@kept_options
@click.option(
    "--dedupe",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="COSINE",
    help="Leave out new rows whose vector is so near to one that is there, or before it, as 0.97; they are told in the file of bad rows.",
)
@dry_run_option
@loading_options
@dead_letters_option
@cluster_option
@fail_option
@json_option
@quiet_option
def ingest(
    bundle: str,
    files: tuple[str, ...],
    store: str,
    collection: str,
    columns: FieldOptions,
    reading: ReadingOptions,
    cutting: Cutting,
    metric: str | None,
    outputs: str | None,
    kept: KeptOptions,
    dedupe: float | None,
    dry_run: bool,
    loading: Loading,
    dead_letters: str | None,
    cluster: str | None,
    fail_on_dead: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Put documents into a collection; what is there unchanged is skipped, bad rows go to a file of their own."""
    if dedupe is not None and (dry_run or cluster is not None):
        raise click.BadParameter(
            "which rows are nearly the same is known as they are written, one after the other; leave out --dry-run and --on",
            param_hint="--dedupe",
        )
    rows = reading.rows(files, columns)
    run = Run(rows, bundle, store, collection, cutting, loading, json, quiet, kept.given())
    if dry_run:
        run.estimate(outputs)
    else:
        run.ingest(metric, dead_letters, outputs=outputs, fail_on_dead=fail_on_dead, cluster=cluster, dedupe=dedupe)


@app.command(
    short_help="Like ingest, and deletes what the source has no longer.",
    epilog="\b\nExamples:\n"
    "  embedkit sync bundle manual/ --store chroma:index --collection manual\n"
    "  embedkit sync bundle wiki.jsonl --store chroma:index --collection all --filter site==wiki\n"
    "  embedkit sync bundle manual/ --store chroma:index --collection manual --dry-run\n"
    "  embedkit sync bundle manual/ --store qdrant://localhost:6333 --collection manual --watch\n"
    "\n\b\nNothing is deleted by a source that is empty, or where a row's id cannot be read; a bad row keeps what is stored of it.",
)
@bundle_argument
@files_argument
@store_option
@collection_option
@filter_option
@columns_options
@reading_options
@cutting_options
@metric_option
@outputs_option
@kept_options
@dry_run_option
@click.option(
    "--watch",
    is_flag=True,
    help="Go on: a round whenever the source has changed and keeps still, a line for each, until Ctrl-C or SIGTERM, which let a round end.",
)
@click.option(
    "--every", type=click.FloatRange(min=0.05), metavar="SECONDS", help="With --watch: between two looks; by default 2."
)
@loading_options
@dead_letters_option
@fail_option
@json_option
@quiet_option
def sync(
    bundle: str,
    files: tuple[str, ...],
    store: str,
    collection: str,
    filter: tuple[str, ...],
    columns: FieldOptions,
    reading: ReadingOptions,
    cutting: Cutting,
    metric: str | None,
    outputs: str | None,
    kept: KeptOptions,
    dry_run: bool,
    watch: bool,
    every: float | None,
    loading: Loading,
    dead_letters: str | None,
    fail_on_dead: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Make a collection hold exactly what its source does: write what is new or changed, delete what is gone."""
    rows, only = reading.rows(files, columns), condition(filter)
    run = Run(rows, bundle, store, collection, cutting, loading, json, quiet, kept.given())
    if (watch and (dry_run or "-" in files)) or (every is not None and not watch):
        raise click.BadParameter(
            "--watch is for files that can be read again, without --dry-run; --every is for --watch"
        )
    if dry_run:
        run.estimate(outputs, sync=True, filter=only)
    elif watch:
        follow(run, metric, dead_letters, outputs=outputs, filter=only, fail_on_dead=fail_on_dead, every=every)
    else:
        run.ingest(metric, dead_letters, outputs=outputs, fail_on_dead=fail_on_dead, sync=True, filter=only)


@app.command(
    short_help="Compare a collection with its source.",
    epilog="\b\nExamples:\n"
    "  embedkit check bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit check bundle docs.jsonl --store chroma:index --collection docs --vectors 1000 --repair\n"
    "\n\b\nTake the same options for the source as the ingest did. Exit code 1 where they do not agree.",
)
@bundle_argument
@files_argument
@store_option
@collection_option
@click.option(
    "--vectors",
    type=click.IntRange(min=0),
    default=0,
    help="Encode so many rows anew, and compare their vectors with the stored ones.",
)
@click.option("--searches", type=click.IntRange(0), default=10_000, help="Search for so many rows by their vectors.")
@click.option("--repair", is_flag=True, help="Then sync: write what is missing or wrong, delete what is extra.")
@filter_option
@columns_options
@reading_options
@cutting_options
@loading_options
@dead_letters_option
@json_option
@quiet_option
def check(
    bundle: str,
    files: tuple[str, ...],
    store: str,
    collection: str,
    vectors: int,
    searches: int,
    repair: bool,
    filter: tuple[str, ...],
    columns: FieldOptions,
    reading: ReadingOptions,
    cutting: Cutting,
    loading: Loading,
    dead_letters: str | None,
    json: bool,
    quiet: bool,
) -> None:
    """Compare a collection with its source, row by row; repair it with --repair."""
    from embedkit.ingestion import check as run

    if repair and "-" in files:
        raise click.BadParameter("standard input can be read once only; give a file with --repair")
    rows, only, encoder = reading.rows(files, columns), condition(filter), loading.load(bundle)
    rows = suited(rows, encoder)

    def checked(*, drop_broken: bool = False) -> bool:
        report = run(
            cutting.apply(rows, encoder),
            encoder,
            store,
            collection=collection,
            metadata_policy=cutting.mode(),
            filter=only,
            vectors=vectors,
            searches=searches,
            drop_broken=drop_broken,
            progress=False if quiet else None,
        )
        print_report(report, json, quiet)
        return report.consistent

    agree = checked(drop_broken=repair)
    if agree or not repair:
        tell_skipped(rows, quiet)
    if agree:
        return
    if repair:
        again = Run(rows, bundle, store, collection, cutting, loading, json, quiet)
        again.ingest(None, dead_letters, sync=True, filter=only)
        if checked():
            return
    sys.exit(1)


@app.command(
    short_help="The rows of a dead-letter file, once more.",
    epilog="\b\nExamples:\n"
    "  embedkit retry bundle docs.dead.jsonl --store chroma:index --collection docs\n"
    '\n\b\nAfterwards the file holds the rows that fail still, or is gone. To repair one, edit its "document", or its\n'
    '"row" where that is null. A file that could not be read is read again.',
)
@bundle_argument
@argument("letters", metavar="FILE", help="A dead-letter file that an ingest wrote.")
@store_option
@collection_option
@columns_options
@cutting_options
@outputs_option
@loading_options
@fail_option
@json_option
@quiet_option
def retry(
    bundle: str,
    letters: str,
    store: str,
    collection: str,
    columns: FieldOptions,
    cutting: Cutting,
    outputs: str | None,
    loading: Loading,
    fail_on_dead: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Try the rows of a dead-letter file again; it then holds those that fail still."""
    from embedkit.ingestion import retry as run

    chunking, fields = cutting.chunking(), columns.fields()

    def action() -> IngestReport:
        return run(
            letters,
            loading.load(bundle),
            store,
            collection=collection,
            fields=fields,
            chunking=chunking,
            metadata_policy=cutting.mode(),
            progress=False if quiet else None,
            outputs=names_of(outputs),
        )

    if reported(action, json, quiet).dead and fail_on_dead:
        sys.exit(1)
