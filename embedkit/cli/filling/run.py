"""An ingest of files, or what one would do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedkit.cli.click_ext import INTERRUPTED
from embedkit.cli.cluster import by_cluster
from embedkit.cli.options import Cutting, Loading, suited
from embedkit.cli.text_io import first_few, print_report

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.ingestion import FileRows, IngestReport, chunked
    from embedkit.records.filters import Filter


def names_of(outputs: str | None) -> list[str] | None:
    """The names of outputs that stand between commas."""
    return [name.strip() for name in outputs.split(",")] if outputs else None


class Run:
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
        kept: dict[str, Any] | None = None,
    ) -> None:
        self.kept = kept or {}
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
        dedupe: float | None = None,
    ) -> None:
        """Put the rows into the collection, here or by a cluster, and print what became of them."""

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
                    outputs=names_of(outputs),
                    dead_letters=dead_letters or None,
                    threads=self.loading.threads,
                    **self.kept,
                )
            return self.once(encoder, metric, dead_letters, outputs=outputs, sync=sync, filter=filter, dedupe=dedupe)

        report = reported(action, self.json, self.quiet)
        tell_skipped(self.rows, self.quiet)
        if report.dead > report.near_duplicates and fail_on_dead:
            sys.exit(1)

    def once(
        self,
        encoder: BaseEncoder,
        metric: str | None,
        dead_letters: str | None,
        *,
        outputs: str | None = None,
        sync: bool = False,
        filter: Filter | None = None,
        dedupe: float | None = None,
        quiet: bool = False,
    ) -> IngestReport:
        """Put the rows into the collection, with an encoder that is loaded; what became of them."""
        from embedkit.ingestion import ingest as run

        return run(
            self._documents(encoder),
            encoder,
            self.store,
            collection=self.collection,
            metric=metric or None,  # type: ignore[arg-type]
            metadata_policy=self.policy,
            dead_letters=dead_letters or None,
            progress=False if self.quiet or quiet else None,
            sync=sync,
            filter=filter,
            outputs=names_of(outputs),
            dedupe=dedupe,
            **self.kept,
        )

    def _documents(self, encoder: BaseEncoder) -> FileRows | chunked:
        from embedkit.ingestion import chunked

        self.rows = suited(self.rows, encoder)
        if self.chunking is None:
            return self.rows
        return chunked(self.rows, encoder, self.chunking, metadata_policy=self.policy)

    def estimate(self, outputs: str | None, *, sync: bool = False, filter: Filter | None = None) -> None:
        """Print what would become of the rows."""
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
            outputs=names_of(outputs),
            progress=False if self.quiet else None,
            **self.kept,
        )
        print_report(report, self.json)
        tell_skipped(self.rows, self.quiet)


def tell_skipped(rows: FileRows, quiet: bool) -> None:
    """The files that were left out, on standard error."""
    if rows.skipped and not quiet:
        what = {"image": "pictures", "audio": "sounds"}.get(rows.format or "", "text")
        print(f"not read, since they are no {what} ({len(rows.skipped):,}): {first_few(rows.skipped)}", file=sys.stderr)


def reported(action: Callable[[], IngestReport], as_json: bool, quiet: bool) -> IngestReport:
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
