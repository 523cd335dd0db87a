"""What is stored, and what is asked of it: documents, batches, metadata, filters."""

from embedkit.checks import check_id, check_text
from embedkit.vectors.arrays import FloatArray

from .batch import RecordBatch
from .coercion import MODES, MetadataMode, check_mode, converted
from .documents import Document, Hit, Page, Record, RowError, WriteResult
from .filter_text import parse_filter
from .filters import (
    OPS,
    OPS_WITHOUT_VALUE,
    ORDERINGS,
    Combine,
    Compare,
    F,
    Filter,
    Not,
    Op,
    Scalar,
    push_down_not,
    simplified,
)
from .metadata import Field, Metadata, content_hash, dump_metadata, filterable, load_metadata, plain_number
from .scalars import timestamp

__all__ = [
    "MODES",
    "OPS",
    "OPS_WITHOUT_VALUE",
    "ORDERINGS",
    "Combine",
    "Compare",
    "Document",
    "F",
    "Field",
    "Filter",
    "FloatArray",
    "Hit",
    "Metadata",
    "MetadataMode",
    "Not",
    "Op",
    "Page",
    "Record",
    "RecordBatch",
    "RowError",
    "Scalar",
    "WriteResult",
    "check_id",
    "check_mode",
    "check_text",
    "content_hash",
    "converted",
    "dump_metadata",
    "filterable",
    "load_metadata",
    "parse_filter",
    "plain_number",
    "push_down_not",
    "simplified",
    "timestamp",
]
