"""Documents into a vector store: read, skip what is there, encode, write, and account for every row."""

from __future__ import annotations

from .checking import CheckReport, check
from .chunking import Chunking, chunked
from .copying import CopyReport, copy
from .dead_letters import DeadLetters
from .estimating import IngestEstimate, estimate
from .fields import Fields
from .pipeline import ingest
from .readers import FileRows
from .report import IngestInterrupted, IngestReport
from .retrying import retry
from .rows import BadRow, SourcedDocument

__all__ = [
    "BadRow",
    "CheckReport",
    "Chunking",
    "CopyReport",
    "DeadLetters",
    "Fields",
    "FileRows",
    "IngestEstimate",
    "IngestInterrupted",
    "IngestReport",
    "SourcedDocument",
    "check",
    "chunked",
    "copy",
    "estimate",
    "ingest",
    "retry",
]
