"""``embedkit ingest``, ``sync``, ``check`` and ``retry``: from a source of documents to a collection."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import INTERRUPTED, argument
from embedkit.cli.cluster import by_cluster, cluster_option
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
from embedkit.cli.text_io import first_few, print_report

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.ingestion import FileRows, IngestReport, chunked
    from embedkit.records.filters import Filter


@app.command(
    short_help="Documents into a collection of a vector store.",
    epilog="\b\nExamples:\n"
    "  embedkit ingest bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit ingest bundle notes/*.md --store qdrant://localhost:6333 --collection notes\n"
    "  embedkit ingest bundle manual/ table.csv rows.parquet big.jsonl.gz --store chroma:index --collection all\n"
    "  embedkit ingest bundle manual/ --chunk 256 --overlap 32 --store chroma:index --collection manual\n"
    "  psql -c 'copy t to stdout csv header' | embedkit ingest bundle - --format csv --id-field key --text-field '{a}: {b}' ...\n"
    "  embedkit ingest bundle corpus/ --on ray:10.0.0.1:6379 --threads 4 --store qdrant://10.0.0.2:6333 --collection docs\n"
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
    dry_run: bool,
    loading: Loading,
    dead_letters: str | None,
    cluster: str | None,
    fail_on_dead: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Put documents into a collection; what is there unchanged is skipped, bad rows go to a file of their own."""
    rows = reading.rows(files, columns)
    run = _Run(rows, bundle, store, collection, cutting, loading, json, quiet)
    if dry_run:
        run.estimate(outputs)
    else:
        run.ingest(metric, dead_letters, outputs=outputs, fail_on_dead=fail_on_dead, cluster=cluster)


@app.command(
    short_help="Like ingest, and deletes what the source has no longer.",
    epilog="\b\nExamples:\n"
    "  embedkit sync bundle manual/ --store chroma:index --collection manual\n"
    "  embedkit sync bundle wiki.jsonl --store chroma:index --collection all --filter site==wiki\n"
    "  embedkit sync bundle manual/ --store chroma:index --collection manual --dry-run\n"
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
@dry_run_option
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
    dry_run: bool,
    loading: Loading,
    dead_letters: str | None,
    fail_on_dead: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Make a collection hold exactly what its source does: write what is new or changed, delete what is gone."""
    rows, only = reading.rows(files, columns), condition(filter)
    run = _Run(rows, bundle, store, collection, cutting, loading, json, quiet)
    if dry_run:
        run.estimate(outputs, sync=True, filter=only)
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

    if checked(drop_broken=repair):
        return
    if repair:
        again = _Run(rows, bundle, store, collection, cutting, loading, json, quiet)
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
            outputs=_names(outputs),
        )

    if _reported(action, json, quiet).dead and fail_on_dead:
        sys.exit(1)


def _names(outputs: str | None) -> list[str] | None:
    return [name.strip() for name in outputs.split(",")] if outputs else None


class _Run:
    """An ingest of files, or what one would do."""

    def __init__(
        self,
        rows: FileRows,
        bundle: str,
        store: str,
        collection: str,
        cutting: Cutting,
        loading: Loading,
        json: bool,
        quiet: bool,
    ) -> None:
        self.rows, self.bundle, self.store, self.collection = rows, bundle, store, collection
        self.loading, self.json, self.quiet = loading, json, quiet
        self.chunking, self.policy = cutting.chunking(), cutting.mode()  # wrong ones are told before anything is loaded

    def ingest(
        self,
        metric: str | None,
        dead_letters: str | None,
        *,
        outputs: str | None = None,
        fail_on_dead: bool = False,
        sync: bool = False,
        filter: Filter | None = None,
        cluster: str | None = None,
    ) -> None:
        from embedkit.ingestion import ingest as run

        def action() -> IngestReport:
            encoder = self.loading.load(self.bundle)
            if cluster is not None:
                return by_cluster(
                    cluster,
                    suited(self.rows, encoder),
                    encoder,
                    self.store,
                    collection=self.collection,
                    chunking=self.chunking,
                    metric=metric or None,
                    metadata_policy=self.policy,
                    outputs=_names(outputs),
                    dead_letters=dead_letters or None,
                    num_cpus=self.loading.threads or 1,
                )
            return run(
                self._documents(encoder),
                encoder,
                self.store,
                collection=self.collection,
                metric=metric or None,  # type: ignore[arg-type]
                metadata_policy=self.policy,
                dead_letters=dead_letters or None,
                progress=False if self.quiet else None,
                sync=sync,
                filter=filter,
                outputs=_names(outputs),
            )

        report = _reported(action, self.json, self.quiet)
        if self.rows.skipped and not self.quiet:
            names = first_few(self.rows.skipped)
            what = {"image": "pictures", "audio": "sounds"}.get(self.rows.format or "", "text")
            print(f"not read, since they are no {what} ({len(self.rows.skipped):,}): {names}", file=sys.stderr)
        if report.dead and fail_on_dead:
            sys.exit(1)

    def _documents(self, encoder: BaseEncoder) -> FileRows | chunked:
        from embedkit.ingestion import chunked

        self.rows = suited(self.rows, encoder)
        if self.chunking is None:
            return self.rows
        return chunked(self.rows, encoder, self.chunking, metadata_policy=self.policy)

    def estimate(self, outputs: str | None, *, sync: bool = False, filter: Filter | None = None) -> None:
        from embedkit.ingestion import estimate as run

        encoder = self.loading.load(self.bundle)
        report = run(
            self._documents(encoder),
            encoder,
            self.store,
            collection=self.collection,
            metadata_policy=self.policy,
            sync=sync,
            filter=filter,
            outputs=_names(outputs),
            progress=False if self.quiet else None,
        )
        print_report(report, self.json)


def _reported(action: Callable[[], IngestReport], as_json: bool, quiet: bool) -> IngestReport:
    """What an ingest did, printed, also where it was stopped or failed."""
    from embedkit import IngestError
    from embedkit.ingestion import IngestInterrupted

    try:
        report = action()
    except IngestInterrupted as stopped:
        print_report(stopped.report, as_json, quiet)
        print(f"\n{stopped}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except IngestError as error:
        print_report(error.report, as_json, quiet)
        raise
    print_report(report, as_json, quiet)
    return report
