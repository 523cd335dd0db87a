"""A file to be read: where it is, how it is called, and what its rows are made into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedkit.ingestion.rows.fields import Fields, NoDocument
from embedkit.ingestion.rows.row import BadRow, Row, SourcedDocument, recorded

TABLES = ("jsonl", "csv", "tsv", "parquet", "arrow")
"""The formats of which a file holds any number of documents."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file. ``path`` is where it is (``-`` is standard input), ``id`` the id it has as one document."""

    path: str
    id: str
    format: str

    @property
    def name(self) -> str:
        """The file in messages."""
        return "standard input" if self.path == "-" else self.path

    def bad(self, reason: str, line: int = 1) -> BadRow:
        """Something of the file cannot be read: it is the row of its id where it is one document, else rows of any id."""
        form = "" if self.path == "-" else f"file:{self.format}:{self.id}"
        return BadRow(self.name, line, reason, self.path, None if self.format in TABLES else self.id, form)

    def row(self, value: Mapping[str, Any], line: int, fields: Fields, raw: str = "", form: str = "record") -> Row:
        """A row of fields as a document; ``raw`` is how it stood in the file, and ``form`` its format."""
        try:
            found = fields.document(value, path=self.id, line=line)
        except NoDocument as bad:
            if not raw:
                raw, form = recorded(value)
            return BadRow(self.name, line, bad.reason, raw, bad.id, form)
        return SourcedDocument(*found, source=self.name, line=line, row=raw)

    def document(self, text: str, metadata: Mapping[str, Any], fields: Fields) -> Row:
        """The file as one document, which holds its path in the metadata; what it says of itself comes first."""
        row_id = fields.made_id(text, path=self.id, line=1) if fields.id_from == "text" else self.id
        about = fields.kept({"path": self.id, **metadata})
        return SourcedDocument(row_id, text, about, source=self.name, line=1, row=self.path)
