"""Documents into a vector store: read, skip what is there, encode, write, and account for every row."""

from __future__ import annotations

from .checking import CheckReport, check
from .copying import CopyReport, copy
from .dead_letters import DeadLetters
from .estimating import IngestEstimate, estimate
from .pipeline import ingest
from .readers import FileRows
from .report import IngestInterrupted, IngestReport
from .rows import BadRow, SourcedDocument

__all__ = [
    "BadRow",
    "CheckReport",
    "CopyReport",
    "DeadLetters",
    "FileRows",
    "IngestEstimate",
    "IngestInterrupted",
    "IngestReport",
    "SourcedDocument",
    "check",
    "copy",
    "estimate",
    "ingest",
]
