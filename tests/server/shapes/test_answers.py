"""Values as JSON."""

from __future__ import annotations

import base64

import msgspec
import numpy as np

from embedkit.server.shapes.answers import base64_of, numbers, row_json, rows_json
from embedkit.vectors.sparse import SparseVectors


def test_numbers_are_the_same_float32_when_they_are_read() -> None:
    rng = np.random.default_rng(0)
    odd = np.array([0.0, -0.0, 1e-45, 3.4028235e38, -1.1754944e-38, 1 / 3, 1e16], np.float32)
    for vector in (
        rng.standard_normal(500).astype(np.float32),
        odd,
        np.exp(rng.uniform(-80, 80, 500)).astype(np.float32),
    ):
        found = np.float32(msgspec.json.decode(bytes(numbers(vector))))
        assert found.tobytes() == vector.tobytes()
    assert bytes(numbers(np.array([1, -2], np.int8))) == b"[1,-2]"


def test_bytes_are_little_endian() -> None:
    assert base64.b64decode(base64_of(np.array([1.0], ">f4"))) == b"\x00\x00\x80\x3f"


def test_rows() -> None:
    rows = SparseVectors.of(np.array([[0, 0.5], [0, 0]], np.float32))
    assert msgspec.to_builtins(
        [{**one, "values": msgspec.json.decode(bytes(one["values"]))} for one in rows_json(rows)]
    ) == [
        {"indices": [1], "values": [0.5]},
        {"indices": [], "values": []},
    ]
    assert len(row_json(np.zeros((3, 2), np.float32))) == 3
