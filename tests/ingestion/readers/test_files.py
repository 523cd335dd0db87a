from __future__ import annotations

import gzip
import os

import pytest

from embedkit.errors import InputError
from embedkit.ingestion import FileRows


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
