"""Rows that a document leaves behind when it is cut into fewer chunks than before, or for the first time.

Chunk 0 of a source says how many chunks there are, so it changes whenever their number does. It is written before the
others, and before it is written all rows beyond that number are removed. So at every moment no source has a chunk
beyond the number that its chunk 0 tells, whenever a run is cut, and a source whose chunk 0 is unchanged has no stale
rows: it need not be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from embedkit.ingestion.chunking.places import Place, chunk_id, place_of
from embedkit.records.documents import Document, Record
from embedkit.stores.writer import Writer


def remove_stale(writer: Writer, rows: Sequence[Document]) -> int:
    """Before ``rows`` are written: remove what the sources whose chunk 0 is among them have no more; how many rows.

    That are the chunks beyond their number, and the row of the source's own id, which it had as a whole. Rows that are
    no chunk of the source are left alone, whatever their ids.
    """
    places = [place_of(document.id, document.metadata) for document in rows]
    counts = {place.source: place.count for place in places if place and place.number == 0}
    if not counts:
        return 0
    found = writer.get([*counts, *(chunk_id(source, 0) for source in counts)])
    removed = _remove(writer, [row.id for row in found if row.id in counts and not _place(row)])
    before = {place.source: place.count for row in found if (place := _place(row)) and place.number == 0}
    ends = {source: max(count, before.get(source, 0)) for source, count in counts.items()}
    known = [chunk_id(source, n) for source, count in counts.items() for n in range(count, ends[source])]
    removed += _remove(writer, [row.id for row in _chunks(writer, known)])
    # A first chunk that could not be written leaves others behind it, up to the first gap; so look on while there are
    # some, and remove the last ones first, that no cut makes a gap.
    width, behind = 1, list[str]()
    while ends:
        ids = {chunk_id(source, n): source for source, end in ends.items() for n in range(end, end + width)}
        more = {row.id for row in _chunks(writer, ids)}
        behind += [row_id for row_id in ids if row_id in more]
        left = {ids[row_id] for row_id in more}
        ends = {source: end + width for source, end in ends.items() if source in left}
        width *= 2
    return removed + _remove(writer, behind[::-1])


def _chunks(writer: Writer, ids: Iterable[str]) -> list[Record]:
    return [row for row in writer.get(list(ids)) if _place(row)]


def _remove(writer: Writer, ids: Sequence[str]) -> int:
    if ids:
        writer.delete(ids)
    return len(ids)


def _place(row: Record) -> Place | None:
    return place_of(row.id, row.metadata)
