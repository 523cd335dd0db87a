"""The bundle: a folder with a manifest, graphs and golden vectors, read and written here."""

from .external_data import Buffer, external_files
from .folder import Bundle
from .golden import golden_arrays, golden_key, golden_values
from .hashes import fingerprint, sha256_file
from .manifest import (
    MANIFEST,
    SCHEMA,
    Choice,
    FileEntry,
    FileName,
    Frontend,
    Graph,
    Input,
    Manifest,
    Output,
    Part,
    PoolMask,
    Positive,
    Quality,
    Scorer,
    Sha256,
    SizeQuality,
    Source,
    Tower,
    Truncate,
    Variant,
    is_plain_name,
)
from .validation import read_manifest
from .writer import check_target, write_manifest, writing

__all__ = [
    "MANIFEST",
    "SCHEMA",
    "Buffer",
    "Bundle",
    "Choice",
    "FileEntry",
    "FileName",
    "Frontend",
    "Graph",
    "Input",
    "Manifest",
    "Output",
    "Part",
    "PoolMask",
    "Positive",
    "Quality",
    "Scorer",
    "Sha256",
    "SizeQuality",
    "Source",
    "Tower",
    "Truncate",
    "Variant",
    "check_target",
    "external_files",
    "fingerprint",
    "golden_arrays",
    "golden_key",
    "golden_values",
    "is_plain_name",
    "read_manifest",
    "sha256_file",
    "write_manifest",
    "writing",
]
