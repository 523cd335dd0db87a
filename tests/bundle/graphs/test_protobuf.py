"""Fields of a protobuf message, without its schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedkit import BundleError
from embedkit.bundle.graphs.protobuf import integers, parts, read_model

# 1: 300, 2: "ab", 3: a fixed32, 4: a fixed64, 5: b""
MESSAGE = b"\x08\xac\x02\x12\x02ab\x1d\x00\x00\x00\x00\x21" + bytes(8) + b"\x2a\x00"


def test_parts_and_integers() -> None:
    assert [(number, MESSAGE[a:b]) for number, a, b in parts(MESSAGE, 0, len(MESSAGE))] == [(2, b"ab"), (5, b"")]
    assert list(integers(MESSAGE, 0, len(MESSAGE))) == [(1, 300)]


@pytest.mark.parametrize("raw", [MESSAGE[:2], MESSAGE[:5], MESSAGE[:9], MESSAGE[:15], b"\x0b", b"\x08" + b"\xff" * 11])
def test_a_message_that_is_cut_or_none(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(raw)
    with pytest.raises(BundleError, match=r"m\.onnx: not a readable ONNX model"):
        read_model(tmp_path / "m.onnx", lambda data: list(parts(data, 0, len(data))))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"m\.onnx: cannot be read"):
        read_model(tmp_path / "m.onnx", len)
