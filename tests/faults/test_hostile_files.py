"""Files of offices, tables and pages that were changed anywhere are rows or bad ones, in some seconds and some megabytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("docx")
pytest.importorskip("openpyxl")
pytest.importorskip("pptx")
pytest.importorskip("pypdf")
pytest.importorskip("pyarrow")
from helpers import hostile_files

FILES = int(os.environ.get("EMBEDKIT_HOSTILE_FILES", "24"))
"""Changed files."""


def test_files_that_were_changed_anywhere(tmp_path: Path) -> None:
    first = int(os.environ.get("EMBEDKIT_SEED", "0"))
    assert hostile_files.search(tmp_path, range(first, first + FILES)) == []
