"""A collection to another model: encoded anew beside the old one, checked, and switched to in one step."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from embedkit.checks import boolean, check_id, integer, one_of
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import OptionError, StoreError
from embedkit.ingestion.pipeline.columns import Columns, existing
from embedkit.ingestion.pipeline.ingest import IngestOptions, fill
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.ingestion.rows.dead_letters import DeadLetters
from embedkit.ingestion.rows.media import located
from embedkit.ingestion.rows.row import SourcedDocument
from embedkit.stores.contract import METRICS, CollectionInfo, CollectionSpec, Metric
from embedkit.stores.fingerprint import is_late, same_space
from embedkit.stores.guarded import GuardedCollection, GuardedStore
from embedkit.stores.opening import opened
from embedkit.stores.plugin_kit.naming import safe_name

from .check import SEARCHES, CheckReport, check

Judge = Callable[[GuardedCollection, GuardedCollection], bool]
_PAGE = 500
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class MigrateReport:
    """``source`` and ``target`` are the collections to which the name ``collection`` led before, and leads where it was ``switched``.
    ``rows`` of the source were read; ``written`` ones encoded and written in this run, ``unchanged`` ones there from an earlier one;
    ``deleted`` ones left the source meanwhile; ``dead`` ones cannot be encoded by the new model. ``check`` is what the comparison
    of target and source found, None where it was not made. ``why`` says why nothing was switched."""

    collection: str
    source: str
    target: str
    rows: int = 0
    written: int = 0
    unchanged: int = 0
    deleted: int = 0
    dead: int = 0
    dead_letters: str | None = None
    check: CheckReport | None = None
    switched: bool = False
    why: str = ""
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the target holds all that the source does, with the vectors of the new model."""
        return self.check is not None and self.check.consistent and not self.dead

    def to_json(self) -> str:
        """One JSON object on one line."""
        found = asdict(self) | {"complete": self.complete}
        if self.check is not None:
            found["check"] = json.loads(self.check.to_json())
        return json.dumps(found)

    def __str__(self) -> str:
        lines = [
            f"collection {self.collection}: {self.source} to {self.target}: {self.rows:,} rows, {self.written:,} written, "
            f"{self.unchanged:,} there before, {self.deleted:,} deleted, {self.dead:,} not usable, in {self.seconds:.1f} s"
        ]
        if self.dead_letters:
            lines.append(f"rows that were not usable, with the reason of each: {self.dead_letters}")
        if self.check is not None:
            lines.append(str(self.check))
        lines.append(f"{self.collection} leads to {self.target}" if self.switched else f"not switched: {self.why}")
        return "\n".join(lines)


def migrate(
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    role: str = "document",
    metric: Metric | None = None,
    outputs: Sequence[str] | None = None,
    dim: int | None = None,
    precision: str | None = None,
    index: Mapping[str, int] | None = None,
    any_dim: bool = False,
    root: str | Path | None = None,
    vectors: int = 100,
    searches: int = SEARCHES,
    judge: Judge | None = None,
    switch: bool = True,
    dead_letters: str | Path | None = None,
    progress: bool | None = False,
) -> MigrateReport:
    """Encode what a collection holds with a new model into a collection beside it, compare the two, and let the name lead to the new
    one: `search`, `ingest` and the server then have it under the name that they know.

    Until the switch the name leads to the old collection, which is searched and written to as before, and afterwards stays as it is:
    `embedkit.GuardedStore.switch_back` goes back to it, ``drop_former`` deletes it. A run that was cut, wherever, is simply run again:
    what is encoded is not encoded again. Rows that were written meanwhile are encoded at the end, while other ingests into the old
    collection are refused. To migrate to a model that the name led to before brings that collection up to date, and leads back to it.

    Args:
        encoder: the new model.
        store: what `embedkit.open_store` returned, or a store URL.
        collection: the name that is known.
        role: the role by which the texts are encoded; ``document`` by default.
        metric: how the new collection compares; by default as the model does.
        outputs: names of what of the bundle is kept, at most one of each kind; by default the first of each.
        dim: the size to which dense vectors are cut, as in `embedkit.ingest`; by default the new model's own.
        precision: how they are kept; by default as in the old collection.
        index: the settings of their index; by default those of the old collection.
        any_dim: True for a ``dim`` that the model was not trained for; False by default.
        root: the folder below which files lie whose ``uri`` is relative (pictures, sounds); by default the working folder.
        vectors: so many rows (chosen at random) are encoded once more and compared; 100 by default.
        searches: so many rows are searched for by their own vectors, in a store whose index may lose rows; 10,000 by default.
        judge: is called with the old and the new collection once all is written and checked; nothing is switched unless it gives True.
        switch: False to leave the name where it is, and do all else.
        dead_letters: the file of the rows that the new model cannot encode; by default ``COLLECTION.dead.jsonl`` in the working folder.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.

    Returns:
        What was done, and whether the name was switched. A row that cannot be encoded, or a difference, leaves it where it is.

    Raises:
        CollectionNotFoundError: there is no such collection.
        OptionError: it holds this model's vectors already.
        StoreError: another ingest or migration is at work, or the store keeps no such vectors, before anything is encoded.
        IngestError: the store fails for good; with the report of what was done before.
    """
    started = time.perf_counter()
    check_encoder(encoder)
    boolean("switch", switch)
    integer("vectors", vectors, least=0)
    integer("searches", searches, least=0)
    if metric is not None:
        one_of("metric", metric, sorted(METRICS))
    if judge is not None and not callable(judge):
        raise OptionError(f"judge: expected a function of two collections, found {type(judge).__name__}")
    kept = Kept(dim, precision, index, any_dim)
    Columns.of(encoder, role, outputs, None, kept)  # what does not fit is told before anything is opened
    check_id(collection, "collection name")
    path = f"{safe_name(collection)}.dead.jsonl" if dead_letters is None else dead_letters
    DeadLetters(path)  # it can be written
    with opened(store, make=False) as connection:
        exact, current = connection.exact(), connection.resolve(collection)
        old = StoredRows(connection.open(collection), root)
        if is_late(old.rows.info.fingerprint):
            raise OptionError(
                f"collection {collection!r} holds late chunks, which are made of whole documents that it does not hold; ingest these with the "
                "new model into another collection"
            )
        if "dense" in Columns.of(encoder, role, outputs).names:
            keeping = kept.keeping(old.rows.info)
            kept = replace(kept, precision=keeping.precision, index=dict(keeping.index))
        options = IngestOptions(role, metric, sync=True, outputs=outputs, progress=progress, kept=kept)
        wanted = Columns.of(encoder, role, outputs, None, kept).spec(collection, metric or encoder.metric)
        if _holds(old.rows.info, wanted):
            raise OptionError(
                f"collection {collection!r} holds this model's vectors already; there is nothing to migrate"
            )
        target = _target(connection, collection, wanted)
        report = MigrateReport(collection, current, target)
        with one_writer(exact, target):
            report = _filled(report, old, encoder, exact, path, replace(options, sync=False))
        with one_writer(exact, current, target):
            if connection.resolve(collection) != current:
                raise StoreError(f"{collection!r} was led to another collection meanwhile; run it again")
            report = _filled(report, old, encoder, exact, path, options)
            checked = check(
                old, encoder, exact, collection=target, role=role, vectors=vectors, searches=searches, progress=progress
            )
            report = replace(report, check=checked)
            why = _refusal(report)
            if not why and judge is not None and not judge(old.rows, exact.open(target)):
                why = "the judge says no"
            elif not why and not switch:
                why = f"{target} is complete; run it again to switch"
            if not why:
                connection.switch(collection, target)
    return replace(report, switched=not why, why=why, seconds=time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Returned:
    """The collection to which a name leads again, and the one that it ``left``, with the number of rows that each has."""

    name: str
    collection: str
    rows: int
    left: str
    left_rows: int


def go_back(store: GuardedStore | str, *, collection: str) -> Returned:
    """Let a name lead where it led before its last switch, as soon as no ingest writes to it. Rows that were written since are in the
    collection that is left: to have them too, `migrate` to the model of the other.

    Raises `CollectionNotFoundError` where it led nowhere before, and `StoreError` where an ingest is at work.
    """
    with opened(store, make=False) as connection, one_writer(connection, collection):
        alias, exact = connection.switch_back(collection), connection.exact()
        left = alias.former[-1]
        rows, left_rows = exact.open(alias.collection).count(), exact.open(left).count()
    return Returned(collection, alias.collection, rows, left, left_rows)


def finish(store: GuardedStore | str, *, collection: str) -> tuple[str, ...]:
    """Delete the collections that a name led to before; their names. Raises `StoreError` where an ingest writes to the name."""
    with opened(store, make=False) as connection, one_writer(connection, collection):
        return connection.drop_former(collection)


class StoredRows:
    """The rows of a collection as documents, whose files lie below ``root``; they may be read again and again."""

    def __init__(self, rows: GuardedCollection, root: str | Path | None = None) -> None:
        self.rows, self.root = rows, None if root is None else str(root)

    def __iter__(self) -> Iterator[SourcedDocument]:
        source = f"collection {self.rows.info.name}"
        for line, row in enumerate(self.rows.records(size=_PAGE), start=1):
            place = located(row.metadata, self.root).get("uri", "") if self.root else ""
            yield SourcedDocument(row.id, row.text, row.metadata, source=source, line=line, place=str(place))

    def __length_hint__(self) -> int:
        return self.rows.count()


def _filled(
    report: MigrateReport,
    old: StoredRows,
    encoder: BaseEncoder,
    exact: GuardedStore,
    dead_letters: str | Path,
    options: IngestOptions,
) -> MigrateReport:
    """The report with what one pass over the old collection added."""
    if not old.rows.count():  # a sync deletes nothing by an empty source, and the check finds what is too much
        columns = Columns.of(encoder, options.role, options.outputs, None, options.kept)
        exact.ensure(columns.spec(report.target, options.metric or encoder.metric))
        return replace(report, rows=0)
    with DeadLetters(dead_letters) as dead:
        found = fill(old, encoder, exact, report.target, dead, options)
    return replace(
        report,
        rows=found.read,
        written=report.written + found.written,
        unchanged=found.read - found.dead - report.written - found.written,
        deleted=report.deleted + found.deleted,
        dead=found.dead,
        dead_letters=found.dead_letters,
    )


def _refusal(report: MigrateReport) -> str:
    if report.dead:
        return f"{report.dead:,} rows have no vector of the new model; repair or delete them in {report.source}, and run it again"
    if not report.complete:
        return f"{report.target} is not what {report.source} holds; run it again"
    return ""


def _holds(info: CollectionInfo, spec: CollectionSpec) -> bool:
    """Whether a collection was made for the same vectors, whatever its name."""
    made = (info.dim, info.metric, info.sparse, info.multivector)
    wanted = (spec.dim, spec.metric, spec.sparse, spec.multivector)
    return made == wanted and same_space(info.fingerprint, spec.fingerprint)


def _target(store: GuardedStore, name: str, spec: CollectionSpec) -> str:
    """The collection for the new vectors: one that the name led to before, one that was begun, or a new one's name, which is made of
    what the collection is for, so that a run that was cut finds what it began."""
    exact = store.exact()
    former = [each for alias in store.aliases() if alias.name == name for each in alias.former]
    begun = [each for each in exact.names() if re.fullmatch(rf"{re.escape(name)}\.[0-9a-f]{{{_DIGITS}}}", each)]
    for known in (*reversed(former), *begun):
        if (rows := existing(exact, known)) and _holds(rows.info, spec):
            return known
    made = json.dumps([spec.dim, spec.metric, spec.fingerprint, spec.sparse, spec.multivector])
    return f"{name}.{hashlib.sha256(made.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"
