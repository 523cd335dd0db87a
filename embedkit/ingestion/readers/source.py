"""A file to be read: where it is, how it is called, and what its rows are made into."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from embedkit.ingestion.readers.media.pictures import of_file
from embedkit.ingestion.rows.fields import Fields, NoDocument
from embedkit.ingestion.rows.media import MediaFields
from embedkit.ingestion.rows.row import BadRow, Row, SourcedDocument, recorded
from embedkit.runtime.frontends.media import Undecodable
from embedkit.system.files.addresses import without_query

TABLES = ("jsonl", "csv", "tsv", "parquet", "arrow", "xlsx")
"""The formats of which a file holds any number of documents."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file. ``path`` is where it is (``-`` is standard input), ``id`` the id it has as one document; ``delimiter`` stands between
    the cells of a table where that is another than the format's, and ``encoding`` is that of its text where it is not UTF-8."""

    path: str
    id: str
    format: str
    delimiter: str = ""
    encoding: str = ""

    @property
    def name(self) -> str:
        """The file in messages."""
        return "standard input" if self.path == "-" else without_query(self.path)

    @classmethod
    def of(cls, path: str, file_id: str, form: str) -> Source:
        """A file that is to be read as ``form`` says, which is what `form` gave."""
        name, _, options = form.partition("?")
        given = dict(parse_qsl(options))
        return cls(path, file_id, name, given.get("delimiter", ""), given.get("encoding", ""))

    @property
    def form(self) -> str:
        """The format with what it has of its own, without ``:``."""
        given = {"delimiter": self.delimiter, "encoding": self.encoding}
        options = urlencode({name: value for name, value in given.items() if value})
        return f"{self.format}?{options}" if options else self.format

    def not_text(self, error: object) -> str:
        """Why text cannot be read that is not in the encoding it should be in, and what to give."""
        if self.encoding:
            return f"{error} (of what --encoding {self.encoding} makes of it); give another --encoding"
        return f"{error}; if the file is in another encoding give --encoding, as windows-1252 or utf-16"

    def bad(self, reason: str, line: int = 1) -> BadRow:
        """Something of the file cannot be read: it is the row of its id where it is one document, else rows of any id."""
        form = "" if self.path == "-" else f"file:{self.form}:{self.id}"
        return BadRow(self.name, line, reason, self.path, None if self.format in TABLES else self.id, form)

    def row(self, value: Mapping[str, Any], line: int, fields: Fields, raw: str = "", form: str = "record") -> Row:
        """A row of fields as a document; ``raw`` is how it stood in the file, and ``form`` its format."""
        try:
            found = fields.document(value, path=self.id, line=line)
            if fields.media.image is None:
                return SourcedDocument(*found, source=self.name, line=line, row=raw)
            place = self._beside(fields.named(value, found[0]), fields.media, found[0])
            try:
                about = {"uri": fields.media.uri(place), **of_file(place, fields.media.exif)}
            except (Undecodable, ValueError) as error:
                reason = str(error)
                raise NoDocument(reason if place in reason else f"{place}: {reason}", found[0]) from None
        except NoDocument as bad:
            if not raw:
                raw, form = recorded(value)
            return BadRow(self.name, line, bad.reason, raw, bad.id, form)
        row_id, text, metadata = found
        metadata = {**metadata, **about}
        return SourcedDocument(row_id, text or row_id, metadata, source=self.name, line=line, row=raw, place=place)

    def _beside(self, name: str, media: MediaFields, row_id: str) -> str:
        """Where a file lies that a row names."""
        if "://" in name:
            raise NoDocument(f"{name[:200]}: an address, and nothing is fetched; name a file", row_id)
        here = "" if self.path == "-" else os.path.dirname(self.path)
        return os.path.join(here if media.root is None else media.root, name)

    def document(self, text: str, metadata: Mapping[str, Any], fields: Fields) -> Row:
        """The file as one document, which holds its path in the metadata; what it says of itself comes first."""
        row_id = fields.made_id(text, path=self.id, line=1) if fields.id_from == "text" else self.id
        about = fields.kept({"path": self.id, **metadata})
        return SourcedDocument(row_id, text, about, source=self.name, line=1, row=self.path)
