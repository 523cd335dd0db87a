"""The usable rows of a source, each id once, in windows; the others are counted or handed on with their reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TypeAlias

from embedkit.checks import check_id, items_of
from embedkit.errors import InputError
from embedkit.records.coercion import MetadataMode, check_mode, converted
from embedkit.runtime.frontends.base import Modality

from .ledger import Ledger
from .row import DUPLICATE, BadRow, SourcedDocument, fingerprint_of, refused, sourced

Fresh: TypeAlias = tuple[SourcedDocument, str]
"""A document and its content hash."""

_WINDOW_CHARACTERS = 1 << 20


class SourceReader:
    """One pass over a source. Where ``modality``, by which the rows are encoded, reads no text of a row that has none, its id is kept in
    the place of it; without a modality where the source is ``textless``. ``on_bad_row`` is given each row that cannot be used,
    ``on_duplicate`` is called for each that repeats an earlier one. ``ledger`` holds the ids that were met; ``nameless`` counts bad rows
    that have none."""

    def __init__(
        self,
        documents: Iterable[object],
        *,
        modality: Modality | None = None,
        textless: bool = False,
        metadata_policy: MetadataMode = "strict",
        on_bad_row: Callable[[BadRow], None] = lambda row: None,
        on_duplicate: Callable[[], object] = lambda: None,
    ) -> None:
        check_mode(metadata_policy)
        documents = items_of("documents", documents, "document", ordered=False)
        self._modality = modality if modality is not None and modality.frontend.kind != "text" else None
        self._textless = textless if modality is None else self._modality is not None
        if self._textless and hasattr(documents, "textless"):
            documents = documents.textless()
        self._documents, self._policy = documents, metadata_policy
        self._on_bad_row, self._on_duplicate = on_bad_row, on_duplicate
        self.ledger = Ledger()
        self.read = self.duplicates = self.bad = self.nameless = 0

    def windows(self, most: Callable[[], int]) -> Iterator[list[Fresh]]:
        """Lists of usable rows, ``most`` of which is asked for at each row, bounded in characters too; chunks that are read together
        (pooled late) are in one."""
        rows: list[Fresh] = []
        characters, full = 0, False
        for ordinal, item in enumerate(items_of("documents", self._documents, "document", ordered=False), start=1):
            row = sourced(item, ordinal, textless=self._textless)
            self.read += 1
            usable = row if isinstance(row, BadRow) else self._usable(row)
            if isinstance(usable, BadRow):
                self._refuse(usable)
            elif usable is not None:
                if full and not _together(rows[-1], usable):
                    yield rows
                    rows, characters, full = [], 0, False
                rows.append(usable)
                characters += len(usable[0].text)
            full = len(rows) >= most() or characters >= _WINDOW_CHARACTERS
            if full and rows[-1][0].within is None:  # else more may follow of what is read with it
                yield rows
                rows, characters, full = [], 0, False
        if rows:
            yield rows

    def close(self) -> None:
        """Drop the ledger."""
        self.ledger.close()

    def __enter__(self) -> SourceReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _usable(self, document: SourcedDocument) -> Fresh | BadRow | None:
        """None for a row that repeats an earlier one."""
        try:
            if self._policy != "strict":
                document = replace(document, metadata=converted(document.metadata, self._policy))
            document = self._named(document)
            digest = fingerprint_of(document)
        except InputError as error:
            return refused(document, str(error))
        first = self.ledger.claim(document.id, digest, f"{document.source}, line {document.line}")
        if first is None:
            return document, digest
        if first[0] == digest:
            self.duplicates += 1
            self._on_duplicate()
            return None
        return refused(document, f"{DUPLICATE}: the row of {first[1]} was kept")

    def _named(self, document: SourcedDocument) -> SourcedDocument:
        """The document, with its id as its text where it has none and none is read."""
        text = document.text
        if not self._textless or not isinstance(text, str) or text.strip() or not isinstance(document.id, str):
            return document
        read = self._modality is not None and self._modality.reads_text(document.about)
        return document if read else replace(document, text=document.id)

    def _refuse(self, row: BadRow) -> None:
        self.bad += 1
        if not row.id:
            self.nameless += 1
        else:
            with suppress(InputError):  # what can be no id is none in the collection either
                self.ledger.spare(check_id(row.id))
        self._on_bad_row(row)


def _together(a: Fresh, b: Fresh) -> bool:
    """Whether two rows are chunks of one text that the model reads whole."""
    one, other = a[0].within, b[0].within
    return one is not None and other is not None and one.text is other.text
