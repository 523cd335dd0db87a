"""From files to documents, one format a file."""

from __future__ import annotations

from .files import FileRows
from .registry import FORMATS

__all__ = ["FORMATS", "FileRows"]
