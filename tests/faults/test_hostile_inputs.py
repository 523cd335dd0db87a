"""Only embedkit's own errors leave public functions and commands, whatever they are given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit
from embedkit import Encoder, F, InputError
from helpers import hostile_inputs

CALLS = int(os.environ.get("EMBEDKIT_HOSTILE_INPUTS", "120"))
"""Calls of functions and commands."""


def test_calls_that_nobody_means(tmp_path: Path) -> None:
    first = int(os.environ.get("EMBEDKIT_SEED", "0"))
    assert hostile_inputs.search(tmp_path, range(first, first + CALLS)) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.encode_outputs(["a"], outputs=[]), "outputs: expected at least one of dense, found none"),
        (lambda e: e.encode(["a"], role=["query"]), "role: this bundle has"),
        (lambda e: e.encode(["a"], output=np.zeros(2)), "output: this bundle has"),
        (lambda e: e.encode(["a"], precision=np.zeros(2)), "precision: expected one of"),
        (lambda e: e.encode(np.array("a")), "texts: expected a string or an iterable"),
        (lambda e: embedkit.similarity(["a"], ["b"]), "similarity: expected numbers"),
        (lambda e: embedkit.similarity([[1.0], [1.0, 2.0]], [1.0]), "similarity: expected an array of numbers"),
        (lambda e: embedkit.quantize([[1.0], [1.0, 2.0]], "int8"), "expected float vectors"),
        (lambda e: embedkit.isotropy(["a"]), "vectors: expected numbers"),
        (lambda e: embedkit.parse_filter(7), "filter: expected a string"),
        (lambda e: embedkit.FileRows(["a"], types="int"), "types: expected a type by the name"),
        (lambda e: embedkit.FileRows([7]), "paths: expected a path"),
        (lambda e: embedkit.open_store("memory:").open(["docs"]), "collection name: expected a non-empty string"),
        (lambda e: list(embedkit.chunked(7, e)), "documents: expected an iterable of documents"),
        (lambda e: embedkit.check([], e, "memory:", collection="a", vectors=-1), "vectors: expected an integer"),
    ],
)
def test_what_was_found_is_named(encoder: Encoder, call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(encoder)


def test_a_row_whose_id_is_an_array_is_one_bad_row(encoder: Encoder, tmp_path: Path) -> None:
    store = embedkit.open_store("memory:")
    rows = [{"id": np.zeros(3), "text": "a"}, {"id": "b", "text": "b"}]
    report = embedkit.ingest(rows, encoder, store, collection="one bad row", dead_letters=tmp_path / "dead.jsonl")
    assert (report.dead, store.open("one bad row").count()) == (1, 1)
    assert store.open("one bad row").count(F("x").exists()) == 0
