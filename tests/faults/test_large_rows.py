"""Every store keeps texts and metadata of many megabytes whole and finds them, or refuses that row by name; the page says which."""

from __future__ import annotations

import random
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from embedkit.records.filters import F
from embedkit.records.metadata import Metadata
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.opening import open_store
from embedkit.stores.plugins import store_plugins
from embedkit.testing.samples import scanned, text_batch
from helpers import slow
from helpers.embedded import STORES, address

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-store.md"
SIZES = {"a megabyte": (1 << 20, 1 << 16), "thirty": (1 << 25, 10 << 20)}
"""Bytes of a text and of a value of metadata."""


def letters(size: int, seed: int) -> str:
    part = "".join(random.Random(seed).choices("abcdefgh é\u65e5'\"\\\x01", k=10_000))
    return (part * (size // len(part.encode()) + 1)).encode()[:size].decode(errors="ignore")


@pytest.mark.parametrize("sizes", slow.but({"a megabyte"}, SIZES))
@pytest.mark.parametrize("name", STORES)
def test_a_row_of_megabytes(name: str, sizes: str, tmp_path: Path, entry_points: None) -> None:
    text, long = (letters(size, seed) for seed, size in enumerate(SIZES[sizes]))
    words = [long[start : start + 1_000] for start in range(0, len(long), 1_000)]
    metadata: list[Metadata] = [
        {"n": 1},
        {"v": long, "n": 1},
        {"v": {"deep": words}, "n": 1},
        {long[:70_000]: 7},
        {"n": 2},
    ]
    ids, texts = ["text", "value", "nested", "key", "small"], [text, "t", "t", "t", "t"]
    vectors = np.eye(8, dtype=np.float32)[: len(ids)]
    with address(name, tmp_path) as url, open_store(url) as store:
        docs = store.ensure(CollectionSpec("large", 8))
        assert docs.upsert(text_batch(ids, vectors=vectors, texts=texts, metadata=metadata)).failed == ()
        docs.flush()
        found = docs.get(ids)
        assert [(record.text, record.metadata) for record in found] == list(zip(texts, metadata, strict=True))
        assert {record.id for record in scanned(docs)} == {*ids}
        assert [hits[0].id for hits in docs.query(vectors, 1)] == ids
        assert docs.count(F("v") == long) == 1
        assert docs.count(F("v") == long[:-1]) == 0
        assert docs.count(F(long[:70_000]) == 7) == 1
        assert {record.id for record in scanned(docs, F("n") == 1)} == {"text", "value", "nested"}
        assert docs.delete(filter=F("v") == long) in (1, None)
        docs.delete(ids=["text"])
        assert {record.id for record in scanned(docs)} == {"nested", "key", "small"}
        store.drop("large")


@pytest.mark.parametrize("name", STORES)
def test_the_page_says_what_a_store_takes(name: str, entry_points: None) -> None:
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    (row,) = [row for row in rows if row[1].strip().lower().replace(" ", "-") == name]
    caps = next(iter(import_module(store_plugins()[name].module).CAPABILITIES.values()))
    if name != "chroma":
        assert f"{caps.max_batch_rows:,} rows" in row[2]
    filters = (caps.max_filter_values, caps.max_comparisons, caps.max_filter_depth)
    said = [part.strip() for part in row[3].replace(",000", "_000").split(",")]
    assert said[:2] == ["any" if most is None else f"{most:,}".replace(",000", "_000") for most in filters[:2]]
    assert said[2] == str(filters[2] or 100)
    for most, unit in ((caps.max_id_bytes, "an id of {:,} bytes"), (caps.max_weights, "{:,} numbers in a sparse")):
        assert most is None or unit.format(most) in row[5]
    assert caps.max_row_bytes is None or f"a row of {caps.max_row_bytes // 1_000_000} MB" in row[5]
