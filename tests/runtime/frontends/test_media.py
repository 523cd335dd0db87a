"""The bytes of files, within a limit."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from embedkit.runtime.frontends.media import Undecodable, check_data, digest, read_file, said_by


def test_within_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(101))
    assert read_file(path, 101) == bytes(101)
    for ask in (lambda: read_file(path, 100), lambda: check_data(bytes(101), 100)):
        with pytest.raises(Undecodable, match="a file of 101 bytes or more, and at most 100 are read"):
            ask()
    check_data(bytes(100), 100)
    with pytest.raises(Undecodable, match=r"empty \(0 bytes\)"):
        check_data(b"", 100)


def test_what_has_no_size_is_read_to_the_limit_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(bytes(300)))
    writer.start()
    with pytest.raises(Undecodable, match="at most 100"):
        read_file(pipe, 100)
    writer.join()


@pytest.mark.parametrize("name", ["nothing.wav", ".", "a\0b"])
def test_a_path_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="cannot be read"):
        read_file(tmp_path / name, 100)


def test_words_and_digests() -> None:
    assert said_by(ValueError("a\n b" + "x" * 400)) == "a b" + "x" * 197
    assert said_by(ValueError()) == "ValueError"
    assert digest("file", b"a") == digest("file", b"a") != digest("prepared", b"a")
