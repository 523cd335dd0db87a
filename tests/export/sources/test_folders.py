"""Folders of models."""

from __future__ import annotations

import pytest

from embedkit import ExportError
from embedkit_export.sources import load as source


def test_a_name_that_is_no_folder_and_no_hub_name() -> None:
    for name in ("./absent", "/absent/folder", "a/b/c", "~/model", ""):
        with pytest.raises(ExportError, match="there is no such folder"):
            source.load(name)
