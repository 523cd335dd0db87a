"""What plugins for database servers share: is anybody there, and when to try again."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from embedkit.errors import InputError, StoreError, TransientStoreError
from embedkit.stores.contract import StoreURL

_Answer = TypeVar("_Answer")
CONNECT_SECONDS = 5.0


def request_seconds() -> float:
    """How long a server may take to answer one request before that counts as failed: the environment variable
    ``EMBEDKIT_STORE_TIMEOUT``, or 60 seconds."""
    given = os.environ.get("EMBEDKIT_STORE_TIMEOUT") or "60"
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < 1e6:
        raise InputError(f"EMBEDKIT_STORE_TIMEOUT: expected a number of seconds above 0, found {given!r}")
    return seconds


def require_server(url: StoreURL, port: int) -> None:
    """Raise `TransientStoreError` within ``CONNECT_SECONDS``, or what a request may take, unless something listens at ``url``, by default at
    ``port``."""
    address = (url.host, url.port or port)
    try:
        socket.create_connection(address, min(CONNECT_SECONDS, request_seconds())).close()
    except OSError as error:
        raise TransientStoreError(
            f"no {url.scheme} server answers at {address[0]}:{address[1]} ({error}): "
            f"start it, or correct the store URL {url.text!r}"
        ) from error


def answered(what: str, connect: Callable[[], _Answer]) -> _Answer:
    """What ``connect`` gives; `TransientStoreError` where it takes longer than a request may, which clients do not see to while
    they connect. ``what`` says what was done."""
    seconds = request_seconds()
    found: Future[_Answer] = Future()

    def run() -> None:
        try:
            found.set_result(connect())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, name="embedkit-connect", daemon=True).start()
    if not wait([found], seconds).done:
        raise TransientStoreError(
            f"{what}: the server took the connection and did not answer within {seconds:g} s; look whether it runs, or set "
            "EMBEDKIT_STORE_TIMEOUT higher"
        )
    return found.result()


@contextmanager
def some_home() -> Iterator[None]:
    """Let the block find a home folder where this process has none (no HOME, no entry of its user): some clients look for it
    when they are imported or connect, and fail."""
    if os.path.expanduser("~") not in ("", "~"):
        yield
        return
    os.environ["HOME"] = tempfile.gettempdir()
    try:
        yield
    finally:
        os.environ.pop("HOME", None)


def http_error(what: str, status: int, detail: str, headers: Mapping[str, str]) -> StoreError:
    """The error for an HTTP answer: `TransientStoreError` where trying again may help, else `StoreError`."""
    message = f"{what}: the server answered {status}: {' '.join(detail.split())[:500] or 'no reason given'}"
    if status in (408, 425, 429) or status >= 500:
        return TransientStoreError(f"{message}; try again later", retry_after=retry_after(headers))
    if status in (401, 403):
        return StoreError(f"{message}; set the server's credentials in the environment")
    if status == 413:
        return StoreError(f"{message}; write fewer or smaller rows at once, or raise the server's request limit")
    return StoreError(f"{message}; correct the request, or look into the server's log")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the ``Retry-After`` header (RFC 9110, 10.2.3: seconds or a date); None where there is none."""
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
