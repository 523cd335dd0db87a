"""Whether a server is there, how long it may take, and its HTTP answers as errors."""

from __future__ import annotations

import email.utils
import socket
import time

import pytest

from embedkit.errors import InputError, StoreError, TransientStoreError
from embedkit.stores.contract import StoreURL
from embedkit.stores.plugin_kit.network import http_error, request_seconds, require_server, retry_after


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
