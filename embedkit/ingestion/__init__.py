"""Documents into a vector store: read, skip what is there, encode, write, and account for every row."""

from __future__ import annotations

from embedkit.ingestion.chunking.chunked import Chunking, chunked
from embedkit.ingestion.jobs.check import CheckReport, check
from embedkit.ingestion.jobs.copy import CopyReport, copy
from embedkit.ingestion.jobs.dedupe import DedupeReport, dedupe
from embedkit.ingestion.jobs.estimate import IngestEstimate, estimate
from embedkit.ingestion.jobs.info import CollectionReport, info
from embedkit.ingestion.jobs.migrate import MigrateReport, migrate
from embedkit.ingestion.jobs.retry import retry
from embedkit.ingestion.jobs.table import ingest_table
from embedkit.ingestion.pipeline.ingest import ingest
from embedkit.ingestion.pipeline.report import IngestInterrupted, IngestReport
from embedkit.ingestion.rows.dead_letters import DeadLetters
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import BadRow, SourcedDocument

from .readers import FileRows

__all__ = [
    "BadRow",
    "CheckReport",
    "Chunking",
    "CollectionReport",
    "CopyReport",
    "DeadLetters",
    "DedupeReport",
    "Fields",
    "FileRows",
    "IngestEstimate",
    "IngestInterrupted",
    "IngestReport",
    "MigrateReport",
    "SourcedDocument",
    "check",
    "chunked",
    "copy",
    "dedupe",
    "estimate",
    "info",
    "ingest",
    "ingest_table",
    "migrate",
    "retry",
]
