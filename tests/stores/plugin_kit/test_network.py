"""Whether a server is there, how long it may take, and its HTTP answers as errors."""

from __future__ import annotations

import email.utils
import os
import socket
import threading
import time

import pytest

from embedkit.errors import InputError, StoreError, TransientStoreError
from embedkit.stores.contract import StoreURL
from embedkit.stores.plugin_kit.network import (
    answered,
    http_error,
    request_seconds,
    require_server,
    retry_after,
    some_home,
)


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), (" 0 ", 0.0), ("soon", None), ("", None), ("-1", None), ("1.5", None)]
)
def test_retry_after_in_seconds(value, seconds):
    assert retry_after({"Retry-After": value}) == seconds
    assert retry_after({}) is None


def test_retry_after_as_a_date():
    assert 50 < (retry_after({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)}) or 0) <= 60
    assert retry_after({"retry-after": email.utils.formatdate(time.time() - 60, usegmt=True)}) == 0


@pytest.mark.parametrize(
    ("status", "transient"),
    [(400, False), (401, False), (408, True), (413, False), (429, True), (500, True), (503, True)],
)
def test_status_codes(status, transient):
    error = http_error("writing", status, "x" * 10_000, {"Retry-After": "2"})
    assert isinstance(error, TransientStoreError if transient else StoreError)
    assert getattr(error, "retry_after", None) == (2.0 if transient else None)
    assert isinstance(error, TransientStoreError) == transient
    assert len(str(error)) < 700


def test_a_server_that_is_not_there_is_named_with_its_address() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        require_server(StoreURL.parse(f"chroma://127.0.0.1:{port}"), 1)
        require_server(StoreURL.parse("chroma://127.0.0.1"), port)
    with pytest.raises(TransientStoreError, match=rf"no chroma server answers at 127.0.0.1:{port}.*chroma://127.0.0.1"):
        require_server(StoreURL.parse("chroma://127.0.0.1"), port)


@pytest.mark.parametrize(("given", "seconds"), [("", 60.0), ("0.5", 0.5), (" 7 ", 7.0)])
def test_how_long_a_request_may_take(monkeypatch: pytest.MonkeyPatch, given: str, seconds: float) -> None:
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", given)
    assert request_seconds() == seconds
    monkeypatch.delenv("EMBEDKIT_STORE_TIMEOUT")
    assert request_seconds() == 60.0


@pytest.mark.parametrize("given", ["0", "-1", "soon", "nan", "inf", "1e9"])
def test_what_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", given)
    with pytest.raises(InputError, match="EMBEDKIT_STORE_TIMEOUT"):
        request_seconds()


def test_what_answers_in_time_is_given_and_what_does_not_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDKIT_STORE_TIMEOUT", "0.2")
    assert answered("connecting", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        answered("connecting", lambda: 1 // 0)
    never = threading.Event()
    with pytest.raises(TransientStoreError, match=r"connecting: .* 0\.2 s; .*EMBEDKIT_STORE_TIMEOUT"):
        answered("connecting", never.wait)
    never.set()


def test_a_home_is_there_for_the_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with some_home():
        assert os.path.expanduser("~") == os.environ.get("HOME", os.path.expanduser("~"))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~", os.environ.get("HOME", "~")))
    with some_home():
        assert os.path.isdir(os.path.expanduser("~"))
    assert "HOME" not in os.environ
