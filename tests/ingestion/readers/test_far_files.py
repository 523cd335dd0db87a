"""Rows of files at addresses are those of the same files here."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import shutil
import threading
from dataclasses import replace

import pytest

from embedkit.errors import InputError, OptionError
from embedkit.ingestion import FileRows
from embedkit.ingestion.rows.row import BadRow

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "corpus"
    (found / "deep").mkdir(parents=True)
    rows = "".join(json.dumps({"id": f"id {n}", "text": f"text {n}", "n": n}) + "\n" for n in range(3000))
    (found / "rows.jsonl").write_text(rows)
    (found / "deep" / "packed.jsonl.gz").write_bytes(gzip.compress(rows.replace("id ", "gz ").encode()))
    (found / "table.csv").write_text("id,text\nx,Tea\ny\n")
    (found / "note.md").write_text("# Tea\n\nhot")
    (found / "README").write_text("no suffix, and text")
    (found / "noise").write_bytes(b"\0\1\2\xff")
    (found / ".hidden").write_text("hidden")
    (found / "docs.dead.jsonl").write_text("{}")
    if pytest.importorskip("pyarrow"):
        from pyarrow import parquet, table

        parquet.write_table(table({"id": ["p"], "text": ["of Parquet"]}), found / "t.parquet")
    return found


def told(rows: FileRows, place: object) -> list[object]:
    """The rows, and what was skipped, without the place where they were read."""
    found = [
        replace(row, source=row.source.removeprefix(f"{place}/"), row=row.row.removeprefix(f"{place}/")) for row in rows
    ]
    return [*found, *(path.removeprefix(f"{place}/") for path in rows.skipped)]


@pytest.fixture
def memory(folder):
    found = fsspec.filesystem("memory")
    found.store.clear()
    found.put(str(folder), "/bucket/", recursive=True)
    yield "memory://bucket/corpus"
    found.store.clear()


def test_a_folder_at_an_address_gives_the_rows_of_the_folder(folder, memory):
    here, there = told(FileRows([folder]), folder), told(FileRows([memory]), memory)
    assert len(there) == len(here) == 6006
    assert there == here
    assert told(FileRows([memory + "/"]), memory) == here


def test_an_address_that_is_wrong_is_told_at_once(memory):
    with pytest.raises(InputError, match="memory://bucket/nothing"):
        FileRows([memory, "memory://bucket/nothing"])
    with pytest.raises(InputError, match="begins with one of"):
        FileRows(["ftp://host/x"])
    with pytest.raises(OptionError, match="files of this machine"):
        FileRows([memory], format="image")
    assert FileRows([memory]).media("image").format is None


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *given):
        pass


@pytest.fixture
def web(folder):
    pytest.importorskip("aiohttp")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_of_a_server_of_the_web(folder, web):
    for name in ("rows.jsonl", "deep/packed.jsonl.gz", "table.csv"):
        assert told(FileRows([f"{web}/{name}"]), web) == told(FileRows([folder / name]), folder), name
    (row,) = FileRows([f"{web}/note.md?key=secret"])
    assert (row.id, row.text, row.metadata) == (f"{web}/note.md", "# Tea\n\nhot", {"path": f"{web}/note.md"})
    with pytest.raises(InputError, match="absent"):
        FileRows([f"{web}/absent.csv"])
    assert row.source == f"{web}/note.md"
    assert [row.text for row in FileRows([f"{web}/t.parquet"])] == ["of Parquet"]


def test_a_server_that_is_gone_is_a_bad_row(folder, web):
    rows = FileRows([f"{web}/rows.jsonl", f"{web}/table.csv"])
    (folder / "rows.jsonl").unlink()
    bad, *good = rows
    assert isinstance(bad, BadRow)
    assert [row.id for row in good if not isinstance(row, BadRow)] == ["x"]


@pytest.fixture
def bucket(folder, monkeypatch):
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("bucket")
    system.put(str(folder), "bucket/", recursive=True)
    yield "s3://bucket/corpus"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_folder_of_an_s3_server(folder, bucket):
    here = told(FileRows([folder]), folder)
    assert told(FileRows([bucket]), bucket) == here
    shutil.rmtree(folder)
    assert told(FileRows([f"{bucket}/t.parquet"]), bucket)[0].text == "of Parquet"
    with pytest.raises(InputError, match="nothing"):
        FileRows([f"{bucket}/nothing"])
