"""Shared by the tests of exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers import models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save("bert", tmp_path_factory.mktemp("exporting") / "bert")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "texts.jsonl"
    path.write_text(
        "\n".join(json.dumps({"id": i, "text": f"{text} {i}"}) for i in range(8) for text in models.SENTENCES)
    )
    return path
