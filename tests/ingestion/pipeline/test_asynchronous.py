"""`aingest` writes what `ingest` does."""

from __future__ import annotations

import asyncio

import embedkit
from embedkit.testing.samples import fresh_name
from embedkit.testing.tiny import tiny_bundle

TEXTS = [f"text {i} of a few" for i in range(30)]


def test_an_awaited_ingest_has_the_rows_of_a_plain_one(tmp_path):
    encoder, store = embedkit.Encoder.load(tiny_bundle(tmp_path / "bundle")), f"memory:{fresh_name('kept')}"
    report = asyncio.run(embedkit.aingest(TEXTS, encoder, store, collection="docs"))
    assert (report.written, report.read) == (30, 30)
    assert embedkit.ingest(TEXTS, encoder, store, collection="docs").unchanged == 30
