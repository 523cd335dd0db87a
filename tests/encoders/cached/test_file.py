"""Bytes by key, of bounded size, shared by several who have the file open."""

from __future__ import annotations

import pytest

from embedkit.encoders.cached.file import CacheFile


def test_kept_and_found_by_others(tmp_path):
    one, other = CacheFile(tmp_path / "v", 1 << 20), CacheFile(tmp_path / "v", 1 << 20)
    many = {i.to_bytes(4, "big"): bytes([i % 256]) * 10 for i in range(2_000)}
    one.keep(many)
    assert other.find([*many, b"unknown"]) == many
    one.keep({b"\0\0\0\0": b"new"})
    assert other.find([b"\0\0\0\0"]) == {b"\0\0\0\0": b"new"}
    one.close()
    other.close()


def test_the_longest_unused_go_first(tmp_path, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    file = CacheFile(tmp_path / "v", 1_000)
    file.keep({bytes([i]): bytes(100) for i in range(10)})
    now += 86_400
    assert len(file.find([bytes([i]) for i in range(5)])) == 5
    file.keep({bytes([10]): bytes(100), bytes([11]): bytes(100)})
    file.close()
    left = CacheFile(tmp_path / "v", 1_000).find([bytes([i]) for i in range(12)])
    assert sum(map(len, left.values())) <= 1_000
    assert {bytes([i]) for i in (0, 1, 2, 3, 4, 10, 11)} <= set(left)
    assert bytes([5]) not in left


@pytest.mark.parametrize("given", [{}, {b"k": b""}])
def test_nothing(tmp_path, given):
    file = CacheFile(tmp_path / "v", 1_000)
    file.keep(given)
    assert file.find(list(given)) == given
    file.close()
