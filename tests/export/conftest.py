"""Tests of exports share what torch captured, where their plans are equal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch")

from embedkit_export.graphs import capture
from embedkit_export.pipeline import variant_maker
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
