"""Files at addresses: of this process's memory, of a server of the web, and of an S3 server on this machine."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedkit.errors import InputError, MissingExtraError
from embedkit.system.files import addresses
from embedkit.system.files.addresses import (
    SCHEMES,
    below,
    check_address,
    check_folder_address,
    is_far,
    kind,
    open_far,
    put_far,
    remove_far,
    size_far,
    stamps_far,
    without_query,
    write_far,
)
from helpers.web import web

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


def test_what_is_an_address():
    assert all(is_far(f"{scheme}://x") for scheme in [*SCHEMES, "S3", "ftp", "file"])
    assert not any(map(is_far, ["", "-", "a/b", "/a://b", "C:\\x", "C:/x", "chroma:x", "1s://x", "://x"]))


def test_a_file_and_a_folder(memory):
    memory.pipe({"/b/f/one.txt": b"1" * 3_000_000, "/b/f/g/two.txt": b"two", "/b/fg": b"beside"})
    assert kind("memory://b/f") == kind("memory://b/f/") == "folder"
    assert kind("memory://b/fg") == "file"
    assert sorted(below("memory://b/f")) == sorted(below("memory://b/f/")) == ["g/two.txt", "one.txt"]
    with open_far("memory://b/f/one.txt") as file:
        assert file.seekable()
        assert len(file.read()) == 3_000_000
        file.seek(2_999_990)
        assert file.read(20) == b"1" * 10
        assert file.tell() == 3_000_000
    memory.pipe("/b/f/new", b"")
    assert "new" in below("memory://b/f")


def test_what_is_not_there_is_an_os_error(memory):
    for act in (kind, open_far):
        with pytest.raises(FileNotFoundError):
            act("memory://nowhere/x")


def test_what_a_package_raises_is_an_os_error(memory, monkeypatch):
    memory.pipe("/b/x", b"text")

    def refuse(*given, **named):
        raise RuntimeError("403  refused")

    with open_far("memory://b/x") as file:
        monkeypatch.setattr(type(file.raw._file), "read", refuse)
        with pytest.raises(OSError, match="RuntimeError: 403 refused"):
            file.read()
    monkeypatch.setattr(type(memory), "find", refuse)
    with pytest.raises(OSError, match="refused"):
        below("memory://b")


class Answers(BaseHTTPRequestHandler):
    """A server of the web that fails in the way that the path names."""

    body = b"0123456789" * 200_000

    def do_GET(self) -> None:
        name = self.path.lstrip("/").partition("?")[0]
        if name == "silent":
            time.sleep(5)
        elif name.isdigit():
            self.send_error(int(name))
        elif name == "circle":
            self.send_response(302)
            self.send_header("Location", "/circle?again")
            self.end_headers()
        else:
            asked = re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
            first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(self.body) - 1)
            part = self.body[first : last + 1 if name == "whole::a" else min(last, 1_500_000)]
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.body)}")
            self.send_header("Content-Length", str(len(part) if asked else len(self.body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(part)

    do_HEAD = do_GET

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture(scope="module")
def answering() -> Iterator[str]:
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("404", "404.*Not Found"),
        ("503", "503.*Unavailable"),
        ("circle", "TooManyRedirects"),
        ("302", "302.*holds no file.*/302"),
        ("304", "304.*holds no file"),
        ("202", "202.*holds no file"),
    ],
)
def test_why_a_server_of_the_web_gives_no_file_is_said_without_secrets(answering: str, name: str, said: str) -> None:
    with pytest.raises(OSError, match=said) as failed:
        kind(f"{answering}/{name}?key=secret \u00e9")
    assert "secret" not in str(failed.value)


def test_a_server_that_is_silent_is_not_waited_for(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_SILENT", 0.5)
    with pytest.raises(OSError, match=r"silent for 0\.5 seconds"):
        kind(f"{answering}/silent")


def test_a_file_that_ends_before_its_end_is_not_whole(answering: str) -> None:
    with (
        open_far(f"{answering}/short") as file,
        pytest.raises(OSError, match="it ends after 1,500,000 of 2,000,000 bytes"),
    ):
        file.read()
    scheme, rest = answering.split("://")
    with open_far(f"{scheme.upper()}://{rest}/whole::a") as file:
        assert file.read() == Answers.body


@pytest.mark.parametrize("path", ["s3://bucket/a::b", "memory://x::file:///etc/passwd"])
def test_several_addresses_in_one_are_refused(path: str) -> None:
    with pytest.raises(InputError, match="found several joined by '::'"):
        check_address(path)


@pytest.mark.parametrize("path", ["ftp://host/x", "file:///etc/passwd", "local://x", "zip://x"])
def test_other_schemes_are_refused(path):
    with pytest.raises(InputError, match="s3://, gs://"):
        check_address(path)


def test_credentials_are_refused_and_not_shown():
    with pytest.raises(InputError, match="environment") as refused:
        check_address("https://user:secret@host/x")
    assert "secret" not in str(refused.value)
    check_address("https://host/a@b")


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"s3fs.*embedkit-onnx\[s3\]"):
        check_address("s3://bucket/x")


def test_what_follows_an_address_is_left_out():
    assert without_query("https://host/a.csv?key=secret#part") == "https://host/a.csv"
    assert without_query("s3://bucket/a?b") == "s3://bucket/a?b"
    assert without_query("a?b#c") == "a?b#c"


def test_an_address_of_a_folder_has_no_query():
    check_folder_address("https://host/folder", "the bundle")
    check_folder_address("memory://b/a?b", "the bundle")
    with pytest.raises(InputError, match="give that of the folder in which the files of the bundle are") as refused:
        check_folder_address("https://host/folder?key=secret", "the bundle")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_file_that_may_not_be_read_is_told_from_one_that_is_not_there(tmp_path, status):
    pytest.importorskip("aiohttp")
    with web(tmp_path) as server:
        server.status = status
        with pytest.raises(PermissionError, match=str(status)):
            kind(f"{server.url}/private")


def test_files_are_written_and_removed(memory, tmp_path):
    (tmp_path / "x").write_bytes(b"some bytes")
    put_far(tmp_path / "x", "memory://b/f/x")
    write_far(b"others", "memory://b/f/y")
    assert (memory.cat("/b/f/x"), memory.cat("/b/f/y")) == (b"some bytes", b"others")
    assert [size_far(f"memory://b/f/{name}") for name in ("x", "y", "z")] == [10, 6, None]
    assert size_far("memory://b/f") is None
    remove_far("memory://b/f/x")
    remove_far("memory://b/f/x")
    assert below("memory://b/f") == ["y"]


def test_a_file_that_is_another_has_another_stamp(memory):
    memory.pipe({"/b/f/x": b"1", "/b/f/y": b"1"})
    before = stamps_far("memory://b/f")
    assert before == stamps_far("memory://b/f")
    assert stamps_far("memory://b/f/x").keys() == {"/b/f/x"}
    memory.pipe("/b/f/x", b"2")
    after = stamps_far("memory://b/f")
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == ["/b/f/x"]
    with pytest.raises(FileNotFoundError):
        stamps_far("memory://b/nothing")


def test_a_server_that_does_not_answer_is_no_file_that_is_not_there(tmp_path):
    pytest.importorskip("aiohttp")
    with web(tmp_path) as server:
        assert size_far(f"{server.url}/nothing") is None
        server.status = 503
        with pytest.raises(OSError, match="503") as refused:
            size_far(f"{server.url}/nothing")
        assert not isinstance(refused.value, FileNotFoundError)
    with pytest.raises(OSError, match="Connect") as gone:  # nobody listens at this port
        open_far("http://127.0.0.1:9/nothing")
    assert not isinstance(gone.value, FileNotFoundError)
