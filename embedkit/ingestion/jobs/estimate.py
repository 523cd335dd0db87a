"""What an ingest would do, without doing it: rows by what would become of them, and about how long and how much."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from tqdm import tqdm

from embedkit.checks import boolean
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError, TruncationWarning
from embedkit.ingestion.pipeline.columns import Columns, existing
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.ingestion.pipeline.prune import check_prunable, gone
from embedkit.ingestion.pipeline.report import several
from embedkit.ingestion.rows.reading import SourceReader
from embedkit.records.coercion import MetadataMode
from embedkit.records.filters import Filter
from embedkit.runtime.frontends.base import Item
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import opened
from embedkit.system.renames import renamed

_WINDOW, _SAMPLE, _PART = 1000, 256, 32
_LONG_ENOUGH = 3.0


@dataclass(frozen=True, slots=True)
class IngestEstimate:
    """``read`` rows are ``new``, ``changed`` or ``unchanged`` beside the collection (which may not ``exist``), ``duplicates``
    or ``dead``; a sync would delete ``gone`` rows.

    ``seconds`` of encoding and ``tokens`` are estimates from ``sampled`` texts that were encoded here; ``vector_bytes`` is what
    the new and changed rows' vectors of every kind take as arrays, by the same texts, without any index.
    """

    collection: str
    exists: bool
    read: int
    new: int
    changed: int
    unchanged: int
    duplicates: int
    dead: int
    gone: int
    sampled: int
    tokens: int
    seconds: float
    vector_bytes: int
    items: str = "texts"

    def to_json(self) -> str:
        """One JSON object on one line; without ``items`` where these are texts."""
        return json.dumps({name: value for name, value in asdict(self).items() if (name, value) != ("items", "texts")})

    def __str__(self) -> str:
        there = "" if self.exists else " (to be made)"
        lines = [
            f"collection {self.collection}{there}: {self.read:,} read, {self.new:,} new, {self.changed:,} changed, "
            f"{self.unchanged:,} unchanged, {self.duplicates:,} duplicates, {self.dead:,} not usable"
            + (f", {self.gone:,} to be deleted" if self.gone else "")
        ]
        if self.sampled:
            lines.append(
                f"about {_span(self.seconds)} to encode {self._much} (by {self.sampled:,} {self.items} that were tried), "
                f"{self.vector_bytes / 1e6:,.1f} MB of vectors"
            )
        lines.append("nothing was written")
        return "\n".join(lines)

    @property
    def _much(self) -> str:
        """How much there is to encode: tokens of texts, else how many."""
        return f"{self.tokens:,} tokens" if self.items == "texts" else f"{self.new + self.changed:,} {self.items}"


@renamed(metadata="metadata_policy", within="filter")
def estimate(
    documents: Iterable[object],
    encoder: BaseEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    role: str = "document",
    metadata_policy: MetadataMode = "strict",
    sync: bool = False,
    filter: Filter | None = None,
    outputs: Sequence[str] | None = None,
    dim: int | None = None,
    precision: str | None = None,
    index: Mapping[str, int] | None = None,
    any_dim: bool = False,
    progress: bool | None = False,
) -> IngestEstimate:
    """What `embedkit.ingest` would do with the same arguments. Reads the whole source and writes nothing.

    Args:
        documents: what would be ingested, as `embedkit.ingest` takes it.
        encoder: what would give the vectors; a sample is encoded to learn how long that takes.
        store: what `embedkit.open_store` returned, or a store URL.
        collection: its name; need not be there.
        role: the bundle's role by which the texts would be encoded; ``document`` by default.
        metadata_policy: what would be done with values that no store can keep; ``strict`` by default.
        sync: counts what a sync would delete; False by default.
        filter: a sync would delete only among the rows that satisfy it; None for all.
        outputs: names of what of the bundle would be kept, as in the ingest; so are the next four.
        dim: the size to which dense vectors would be cut.
        precision: the precision in which they would be kept.
        index: the settings of their index.
        any_dim: True for a size that the model was not trained for.
        progress: whether a bar is drawn on stderr; None: where stderr is a terminal; False by default.

    Returns:
        Rows by what would become of them; seconds, tokens and bytes are estimates.

    Raises:
        EmbedkitError: what the ingest would raise before it writes, and the `InputError` of a sync that may not delete.
    """
    check_encoder(encoder)
    kept = Kept(dim, precision, index, any_dim, late=getattr(documents, "late", False))
    boolean("sync", sync)
    chance = random.Random(0)
    sample: list[Item] = []
    new = changed = unchanged = read = 0
    together: str | None = None
    """What the chunk before was read with."""
    with (
        opened(store) as connection,
        SourceReader(documents, modality=encoder.modality(role), metadata_policy=metadata_policy) as reading,
        tqdm(unit="row", disable=None if progress is None else not progress) as bar,
    ):
        rows = existing(connection, collection)
        if rows:
            rows.require_fingerprint(encoder.fingerprint)
        columns = Columns.of(encoder, role, outputs, rows.info if rows else None, kept)
        connection.require_able(columns.spec(collection, encoder.metric))
        modality = encoder.modality(role)
        for window in reading.windows(lambda: _WINDOW):
            known = rows.hashes([document.id for document, _ in window]) if rows else {}
            for document, digest in window:
                if known.get(document.id) == digest:
                    unchanged += 1
                    continue
                new += document.id not in known
                changed += document.id in known
                within = document.within
                if within is None or within.text is not together:
                    together = within.text if within else None
                    read += 1
                    _choose(sample, modality.of_row(together or document.text, document.about), read, chance)
            bar.update(len(window))
        lost = 0
        if sync:
            check_prunable(reading)
            lost = sum(1 for _ in gone(rows, reading, filter)) if rows else 0
        sampled, tokens, seconds, size = _measured(encoder, role, columns, sample)
        share = read / sampled if sampled else 0.0
        return IngestEstimate(
            collection=collection,
            exists=rows is not None,
            read=reading.read,
            new=new,
            changed=changed,
            unchanged=unchanged,
            duplicates=reading.duplicates,
            dead=reading.bad,
            gone=lost,
            sampled=sampled,
            tokens=round(tokens * share),
            seconds=seconds * share,
            vector_bytes=round(size * (new + changed) / sampled) if sampled else 0,
            items=several(modality.noun),
        )


def _choose(sample: list[Item], item: Item, seen: int, chance: random.Random) -> None:
    """Keep ``_SAMPLE`` of all items, each as likely as any other (reservoir sampling, Vitter's algorithm R)."""
    place = seen - 1 if seen <= _SAMPLE else chance.randrange(seen)
    if place < _SAMPLE:
        sample[place : place + 1] = [item]


def _measured(encoder: BaseEncoder, role: str, columns: Columns, sample: list[Item]) -> tuple[int, int, float, int]:
    """How many texts were encoded, their tokens, the seconds that they took and the bytes of their vectors: parts of the
    sample, until it has been long enough. What cannot be encoded is left out."""
    texts = tokens = size = 0
    bad: dict[int, str] = {}
    seconds = 0.0
    names = list(columns.names.values())
    with warnings.catch_warnings(), suppress(InputError):
        warnings.simplefilter("ignore", TruncationWarning)
        encoder.encode_outputs(
            sample[:2], role=role, outputs=names, dim=columns.dim, on_bad=bad.__setitem__
        )  # the first texts of a session take longer
    for start in range(0, len(sample), _PART):
        part = sample[start : start + _PART]
        before, started = encoder.stats.tokens, time.perf_counter()
        with warnings.catch_warnings(), suppress(InputError):
            warnings.simplefilter("ignore", TruncationWarning)
            found = encoder.encode_outputs(part, role=role, outputs=names, dim=columns.dim, on_bad=bad.__setitem__)
            seconds += time.perf_counter() - started
            tokens += encoder.stats.tokens - before
            size += sum(
                values.nbytes // (columns.fewer if name == columns.names.get("dense") else 1)
                for name, values in found.items()
            )
            texts += len(next(iter(found.values())))
        if seconds > _LONG_ENOUGH:
            break
    return texts, tokens, seconds, size


def _span(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole:02} s" if minutes else f"{seconds:.1f} s"
