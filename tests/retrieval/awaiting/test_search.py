"""`asearch` gives what `search` does, many at a time."""

from __future__ import annotations

import asyncio

import pytest

import embedkit
from embedkit.errors import InputError
from embedkit.ingestion import ingest
from embedkit.testing.samples import fresh_name
from embedkit.testing.tiny import tiny_bundle

TEXTS = [f"text {i} of a few" for i in range(30)]


def test_many_questions_at_once_have_the_answers_of_one_after_another(tmp_path):
    encoder, store = embedkit.Encoder.load(tiny_bundle(tmp_path / "bundle")), f"memory:{fresh_name('asked')}"
    ingest(TEXTS, encoder, store, collection="docs")
    expected = [embedkit.search(text, encoder, store, collection="docs", k=3) for text in TEXTS]

    async def ask() -> list[list[embedkit.Hit]]:
        return await asyncio.gather(*(embedkit.asearch(text, encoder, store, collection="docs", k=3) for text in TEXTS))

    assert asyncio.run(ask()) == expected
    with pytest.raises(InputError):
        asyncio.run(embedkit.asearch(" ", encoder, store, collection="docs"))
