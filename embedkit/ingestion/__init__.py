"""Documents into a vector store: read, skip what is there, encode, write, and account for every row."""

from __future__ import annotations

from .chunking import Chunking, chunked
from .dead_letters import DeadLetters
from .fields import Fields
from .pipeline import ingest
from .readers import FileRows
from .report import IngestInterrupted, IngestReport
from .retrying import retry
from .rows import BadRow, SourcedDocument

__all__ = [
    "BadRow",
    "Chunking",
    "DeadLetters",
    "Fields",
    "FileRows",
    "IngestInterrupted",
    "IngestReport",
    "SourcedDocument",
    "chunked",
    "ingest",
    "retry",
]
