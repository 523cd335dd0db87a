"""Long documents in chunks that a model reads whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from embedkit.bundle.frontends.audio import LONGEST
from embedkit.checks import boolean, integer, items_of, one_of, real
from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.encoders.late.spans import PartsReader, late_output
from embedkit.errors import InputError, OptionError
from embedkit.ingestion.rows.ledger import Ledger
from embedkit.ingestion.rows.row import (
    DUPLICATE,
    BadRow,
    Row,
    SourcedDocument,
    Within,
    fingerprint_of,
    refused,
    sourced,
)
from embedkit.records.coercion import MetadataMode, check_mode, converted
from embedkit.records.documents import Document
from embedkit.records.metadata import Metadata
from embedkit.runtime.frontends.base import Modality
from embedkit.runtime.frontends.text.spans import Span
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.token_counter import TokenCounter
from embedkit.system.renames import renamed

from .places import RESERVED, chunk_id, place_of
from .seconds import length_of, sound_parts
from .sections import sections
from .splitter import Splitter

By: TypeAlias = Literal["tokens", "sentences", "headings", "seconds"]

_SHORTEST = 0.01
"""Seconds of a chunk of a sound, at least."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """How documents are cut.

    ``size`` is the most tokens of text in a chunk, by the bundle's own tokenizer, without those that the model adds
    (special ones, the template); None is as many as the model reads. A chunk repeats at most ``overlap`` of the one
    before. ``by`` is where a chunk may end: ``tokens`` fills it and ends between words, ``sentences`` ends with a
    paragraph or else a sentence where there is one in its second half, ``headings`` also never goes beyond a Markdown
    heading (``# ...``), and notes the headings above.

    ``late`` reads each document whole, and gives each chunk the vector of its own tokens in it (late chunking, arXiv 2409.04701): texts,
    ids and places are those of plain chunks. It needs a bundle that was exported with ``--late``. A document that is longer than the
    model is read in parts, of which a quarter is read twice.

    Sounds are cut by ``seconds``: ``size`` and ``overlap`` are seconds, whole or not, and all chunks of a sound that is longer have this
    size; the last one repeats more of the one before.
    """

    size: int | float | None = None
    overlap: int | float = 0
    by: By = "sentences"
    late: bool = False

    def __post_init__(self) -> None:
        if boolean("chunk late", self.late) and self.by == "seconds":
            raise OptionError("chunk late: sounds are cut before they are read; leave it out")
        one_of("chunk by", self.by, get_args(By))
        for name, value, least in (("size", self.size, 1), ("overlap", self.overlap, 0)):
            if value is None and name == "size":
                continue
            if self.by == "seconds":
                real(f"chunk {name}", value, least=_SHORTEST * least, most=LONGEST)
            else:
                integer(f"chunk {name}", value, least=least)
        if self.size is not None and self.overlap >= self.size:
            raise OptionError(f"chunk overlap: expected less than the size {self.size}, found {self.overlap}")


class chunked:
    """The chunks of documents (of sounds: parts of some seconds), in order, for `embedkit.ingest`; can be iterated again where
    ``documents`` can.

    A chunk is a substring of its document's text. Its id is `chunk_id`, and its metadata are the document's with
    ``source`` (the document's id), ``chunk`` (its number from 0), ``chunks`` (how many there are), ``start`` and
    ``end`` (in characters of the text; in seconds of a sound) and, by headings, ``headings`` (``Guide > Install``). A document that is short is
    one chunk too. Bad rows and what is a chunk already pass through; a document that cannot be cut, or repeats the id
    of another with other content, is a bad row.

    Every chunk with what the model adds to it is read whole: its tokens are counted as the model gets them, in the
    template of the role with the fields that this takes from the metadata.

    Args:
        documents: as `embedkit.ingest` takes them.
        encoder: the bundle by whose tokens chunks are measured.
        chunking: size, overlap (in tokens) and places of the cuts; by default as many tokens as the model reads, no
            overlap, at sentences.
        role: the role whose template the tokens are counted in; ``document`` by default.
        metadata_policy: as in `embedkit.ingest`; ``strict`` by default.

    Raises:
        InputError: a chunk of this size is more than the model reads.
    """

    @renamed(metadata="metadata_policy")
    def __init__(
        self,
        documents: Iterable[Document | BadRow | Mapping[str, Any] | str],
        encoder: BaseEncoder,
        chunking: Chunking | None = None,
        *,
        role: str = "document",
        metadata_policy: MetadataMode = "strict",
    ) -> None:
        check_mode(metadata_policy)
        if not isinstance(chunking, Chunking | None):
            raise OptionError(f"chunking: expected an embedkit.Chunking or None, found {chunking!r:.80}")
        items_of("documents", documents, "document", ordered=False)
        check_encoder(encoder)
        self.documents, self.chunking, self.metadata_policy = documents, chunking or Chunking(), metadata_policy
        self.paths: list[str] = getattr(documents, "paths", [])
        modality = encoder.modality(role)
        self._sounds = self.chunking.by == "seconds"
        if self._sounds:
            self._check_sounds(modality)
            return
        if not isinstance(modality, Template):
            hint = "give --chunk SECONDS, as 10s" if modality.frontend.kind == "audio" else "leave it out"
            raise InputError(
                f"chunking by {self.chunking.by} is for texts, and this bundle reads {modality.noun}s; {hint}"
            )
        if self.late:
            late_output(encoder, role)
        self._tokens: TokenCounter = TokenCounter(modality, encoder.bundle.path(modality.frontend.tokenizer))
        self._reader = PartsReader(self._tokens)
        most = self._tokens.max_tokens - self._tokens.own
        if (self.chunking.size or 1) > most:
            raise InputError(
                f"chunk size: the model reads {self._tokens.max_tokens} tokens, of which {self._tokens.own} are its own; "
                f"expected at most {most}, found {self.chunking.size}"
            )
        if self.chunking.size is None and self.chunking.overlap >= most:
            raise OptionError(f"chunk overlap: expected less than the size {most}, found {self.chunking.overlap}")

    @property
    def late(self) -> bool:
        """Whether chunks are pooled from documents that are read whole."""
        return self.chunking.late

    def _check_sounds(self, modality: Modality) -> None:
        frontend: Any = modality.frontend
        if frontend.kind != "audio":
            raise InputError(
                f"chunking by seconds is for sounds, and this bundle reads {modality.noun}s; give a number of tokens"
            )
        if self.chunking.size is None:
            raise OptionError("chunk size: expected seconds of a sound, found none")
        if frontend.most is not None and round(self.chunking.size * frontend.rate) > frontend.most:
            raise InputError(
                f"chunk size: the model reads {frontend.most / frontend.rate:g} seconds of a sound; expected at most these, found "
                f"{self.chunking.size:g}"
            )
        if self.chunking.size * frontend.rate < frontend.least:
            raise InputError(
                f"chunk size: the model needs {frontend.least / frontend.rate:g} seconds of a sound; expected at least these, found "
                f"{self.chunking.size:g}"
            )

    def __iter__(self) -> Iterator[Row]:
        seen = Ledger()
        try:
            for ordinal, item in enumerate(items_of("documents", self.documents, "document", ordered=False), start=1):
                row = sourced(item, ordinal)
                if isinstance(row, BadRow):
                    yield row
                else:
                    yield from self._rows(row, seen)
        finally:
            seen.close()

    def _rows(self, document: SourcedDocument, seen: Ledger) -> Iterable[Row]:
        try:
            document = replace(document, metadata=converted(document.metadata, self.metadata_policy))
            digest = fingerprint_of(document)
            if place_of(document.id, document.metadata):
                return [document]
            first = seen.claim(document.id, digest, f"{document.source}, line {document.line}")
            if first is not None and first[0] != digest:
                return [refused(document, f"{DUPLICATE}: the row of {first[1]} was kept")]
            return self._parts(document) if self._sounds else self._chunks(document)
        except InputError as error:
            return [refused(document, str(error))]

    def _parts(self, document: SourcedDocument) -> Sequence[Row]:
        """Those of a sound, each with its caption."""
        assert self.chunking.size is not None
        spans = sound_parts(length_of(document.about), self.chunking.size, self.chunking.overlap)
        return _numbered(document, [(document.text, {"start": start, "end": end}) for start, end in spans])

    def _chunks(self, document: SourcedDocument) -> Sequence[Row]:
        text, spans = document.text, self._spans(document.text, document.metadata)
        rows = _numbered(
            document,
            [
                (
                    text[start:end],
                    {
                        "start": start,
                        "end": end,
                        **({"headings": " > ".join(path)} if self.chunking.by == "headings" else {}),
                    },
                )
                for start, end, path in spans
            ],
        )
        return self._late(document, rows, [span[:2] for span in spans]) if self.late else rows

    def _late(self, document: SourcedDocument, rows: Sequence[SourcedDocument], spans: Sequence[Span]) -> Sequence[Row]:
        """The rows with what each is read with."""
        whole = spans[0][0], max(end for _, end in spans)
        out: list[Row] = []
        for part in self._reader(document.text, spans, whole, document.metadata):
            read = document.text[part.start : part.end]
            for number in part.spans:
                start, end = spans[number]
                within = Within(read, start - part.start, end - part.start, document)
                out.append(replace(rows[number], within=within))
        return out

    def _spans(self, text: str, metadata: Mapping[str, Any]) -> list[tuple[int, int, tuple[str, ...]]]:
        tokens, chunking = self._tokens, self.chunking
        own = tokens.whole("", metadata)
        room = min(tokens.max_tokens - own, int(chunking.size or tokens.max_tokens))
        if room < 1:
            raise InputError(
                f"the other fields of the template have {own} tokens, and the model reads {tokens.max_tokens}: nothing "
                "is left for the text; shorten them"
            )
        splitter = Splitter(
            text,
            lambda piece: tokens.whole(piece, metadata),
            tokens.ends,
            limit=own + room,
            room=room,
            overlap=min(int(chunking.overlap), room - 1),
            natural=chunking.by != "tokens",
        )
        if chunking.by != "headings":
            return [(start, end, ()) for start, end in splitter.spans(0, len(text))]
        return [
            (start, end, section.path)
            for section in sections(text)
            for start, end in splitter.spans(section.start, section.end)
        ]


def _numbered(document: SourcedDocument, pieces: Sequence[tuple[str, Mapping[str, Any]]]) -> list[SourcedDocument]:
    """The rows of a document's pieces: the text of each, and what its metadata say of its place."""
    about = _renamed(document.metadata)
    return [
        replace(
            document,
            id=chunk_id(document.id, number),
            text=text,
            metadata={**about, "source": document.id, "chunk": number, "chunks": len(pieces), **place},
            row="",
        )
        for number, (text, place) in enumerate(pieces)
    ]


def _renamed(metadata: Mapping[str, Any]) -> Metadata:
    """The metadata with room for those of a chunk."""
    out = {f"document.{name}" if name in RESERVED else name: value for name, value in metadata.items()}
    if len(out) < len(metadata):
        doubled = next(name for name in RESERVED if name in metadata and f"document.{name}" in metadata)
        raise InputError(
            f"metadata: {doubled!r} is a chunk's own, and 'document.{doubled}' is taken; rename one of them"
        )
    return out
