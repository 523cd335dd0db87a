from __future__ import annotations

import gzip
import json
import os
import socket
import sqlite3
import sys
import tarfile
import uuid
from pathlib import Path

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import FileRows, check, chunked, estimate, ingest, retry
from embedkit.stores.opening import open_store


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    files = {
        "b/z.txt": b"zed",
        "b.txt": b"bee",
        "B.txt": b"big bee",
        "a/deep/x.rst": b"of unknown suffix, but text",
        "a/rows.csv": b"id,text\n1,one\n2,two\n",
        "a/page.txt.gz": gzip.compress(b"packed"),
        "a/picture.png": b"\x89PNG\r\n\x1a\n\0\0",
        "a/latin.log": b"na\xefve words",
        "noext": b"no suffix",
        "empty.txt": b"",
        ".hidden": b"hidden",
        ".git/config.txt": b"hidden",
        "docs.dead.jsonl": b'{"source": "x"}\n',
    }
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


def test_all_files_below_it_are_read_in_the_order_of_their_paths(site):
    rows = FileRows([site])
    found = list(rows)
    assert [row.id for row in found] == [
        "B.txt",
        "a/deep/x.rst",
        "a/page.txt.gz",
        "1",
        "2",
        "b/z.txt",
        "b.txt",
        "empty.txt",
        "noext",
    ]
    assert found[1].metadata == {"path": "a/deep/x.rst"}
    assert found[1].source == str(site / "a/deep/x.rst")
    assert rows.skipped == [str(site / "a/latin.log"), str(site / "a/picture.png")]
    assert list(rows) == found


def test_made_ids_hold_the_path_in_the_folder(site):
    (site / "a/rows.csv").write_text("text\none\n")
    assert "a/rows.csv:2" in [row.id for row in FileRows([site], id_from="path")]
    with pytest.raises(InputError, match="'row' would give rows of several files the same ids"):
        FileRows([site], id_from="row")


def test_the_ids_do_not_depend_on_how_the_folder_is_named(site, monkeypatch):
    whole = [row.id for row in FileRows([site])]
    monkeypatch.chdir(site)
    assert [row.id for row in FileRows(["."])] == whole
    assert [row.id for row in FileRows(["a/.."])] == whole


def test_one_format_for_all(site):
    for name in ("a/rows.csv", "a/picture.png", "a/latin.log"):
        (site / name).unlink()
    assert {row.line for row in FileRows([site], format="text")} == {1}


def test_links_to_folders_are_not_followed(site):
    (site / "b" / "loop").symlink_to(site, target_is_directory=True)
    assert len(list(FileRows([site]))) == 9


def test_a_linked_file_is_read_and_a_broken_link_is_a_bad_row(site):
    (site / "link.txt").symlink_to(site / "b.txt")
    (site / "nowhere.txt").symlink_to(site / "none")
    found = {row.id: row for row in FileRows([site])}
    assert found["link.txt"].text == "bee"
    assert "cannot be read: No such file" in found["nowhere.txt"].reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_a_bad_row(site):
    (site / "b").chmod(0)
    try:
        *_, bad = FileRows([site])
        assert "the folder cannot be listed: Permission denied" in bad.reason
    finally:
        (site / "b").chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="pipes and sockets are files here")
def test_pipes_sockets_and_devices_in_a_folder_are_not_opened(site, monkeypatch):
    """A pipe was waited for without end."""
    monkeypatch.chdir(site)
    expected = [row.id for row in FileRows(["."])]
    os.mkfifo("pipe.txt")
    os.mkfifo("a/rows.jsonl")
    os.symlink("/dev/zero", "zero.txt")
    os.symlink("/proc/kmsg", "log.txt")  # a file by its mode
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket.md")
    rows = FileRows(["."])
    assert [row.id for row in rows] == expected
    listener.close()
    assert {"./pipe.txt", "./a/rows.jsonl", "./zero.txt", "./socket.md", "./log.txt"} <= set(rows.skipped)
    for path in ("socket.md", "/dev/zero", "/proc/kmsg"):
        with pytest.raises(InputError, match=f"{path}: it is a socket, a device or a file of the kernel's"):
            FileRows([path])
    assert list(FileRows(["/dev/null"], format="jsonl")) == []


def test_a_file_of_another_kind_that_is_named_is_no_text(tmp_path):
    """An archive was one text of names and NULs."""
    (tmp_path / "docs").write_text("caf\u00e9")
    with tarfile.open(tmp_path / "docs.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "docs", "docs")
    sqlite3.connect(tmp_path / "docs.db").execute("CREATE TABLE a (b)").close()
    good, *bad = FileRows([tmp_path / name for name in ("docs", "docs.tar.gz", "docs.db")])
    assert good.text == "caf\u00e9"
    assert [row.source.rpartition("/")[2] for row in bad] == ["docs.tar.gz", "docs.db"]
    assert all("no text, and its name tells no format; give --format" in row.reason for row in bad)


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_links_in_a_circle_are_bad_rows_and_folders_in_a_circle_are_not_entered(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "one.txt").symlink_to("two.txt")
    (tmp_path / "two.txt").symlink_to("one.txt")
    (tmp_path / "circle").symlink_to(tmp_path)
    good, *bad = FileRows([tmp_path])
    assert good.text == "text"
    assert [row.id for row in bad] == ["loop.txt", "one.txt", "two.txt"]
    assert all("symbolic links" in row.reason for row in bad)
    with pytest.raises(InputError, match="symbolic links"):
        FileRows([tmp_path / "loop.txt"])


@pytest.mark.skipif(sys.platform != "linux", reason="paths are UTF-8 elsewhere")
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_path_that_is_no_utf_8_costs_its_own_document_alone(tmp_path, encoder, as_bytes, monkeypatch):
    """The place of a row in such a file ended the run."""
    monkeypatch.chdir(tmp_path)
    os.makedirs(b"top\xff/below\xfe")
    for name in (b"top\xff/a.txt", b"top\xff/b\xff.txt", b"top\xff/below\xfe/c.txt"):
        with open(name, "w") as file:
            file.write("some text")
    with open(b"top\xff/below\xfe/rows.jsonl", "w") as file:
        file.write('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n{"id": 2, "text": "other"}\n')
    rows = FileRows([b"top\xff" if as_bytes else os.fsdecode(b"top\xff")])
    for documents in (rows, chunked(rows, encoder)):
        store = open_store(f"memory:{uuid.uuid4()}")
        expected = estimate(documents, encoder, store, collection="docs")
        report = ingest(documents, encoder, store, collection="docs")
        assert (report.written, report.dead, expected.new, expected.dead) == (3, 3, 3, 3)
        ids = {row.id for row in store.open("docs").records()}
        assert ids == ({"a.txt", "1", "2"} if documents is rows else {"a.txt#0", "1#0", "2#0"})
        letters = [json.loads(line) for line in Path("docs.dead.jsonl").read_text("utf-8").splitlines()]
        assert sum("lone surrogate" in letter["reason"] for letter in letters) == 2
        assert sum("duplicate id" in letter["reason"] for letter in letters) == 1
        assert check(documents, encoder, store, collection="docs").consistent
        assert retry("docs.dead.jsonl", encoder, store, collection="docs").dead == 3
