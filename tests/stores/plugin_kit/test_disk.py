"""Whether a folder's disk has room."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from embedkit.errors import TransientStoreError
from embedkit.stores.plugin_kit.disk import require_room

MIB = 1 << 20


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A function that leaves so many bytes on every disk."""
    return lambda left: monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=left))


def test_what_comes_needs_room_four_times_over(tmp_path: Path, free) -> None:  # type: ignore[no-untyped-def]
    free(4 * MIB + 4 * 10_000)
    require_room(tmp_path, 10_000)
    with pytest.raises(TransientStoreError, match="4 MiB left.*make room"):
        require_room(tmp_path, 10_001)


def test_and_for_an_eighth_of_what_is_there(tmp_path: Path, free) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x" * 8 * MIB)
    (tmp_path / "gone").symlink_to("nowhere")
    free(5 * MIB - MIB // 2)
    with pytest.raises(TransientStoreError, match=str(tmp_path)):
        require_room(tmp_path, 0)
    free(5 * MIB + MIB // 2)
    require_room(str(tmp_path), 0)
