"""Tests of exports share what torch captured, where their plans are equal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from embedkit_export.graphs import capture
from embedkit_export.pipeline import variant_maker
from helpers import models
from helpers.captures import Captures


@pytest.fixture(scope="session", autouse=True)
def captures() -> Iterator[Captures]:
    """What exports in this process have captured."""
    with pytest.MonkeyPatch.context() as patch:
        kept = Captures(capture.capture)
        patch.setattr(variant_maker, "capture", kept)
        yield kept


@pytest.fixture
def captured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test whose subject is what two captures of one model give."""
    monkeypatch.setattr(variant_maker, "capture", capture.capture)


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
