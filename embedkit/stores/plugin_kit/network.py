"""What plugins for database servers share: is anybody there, and when to try again."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from embedkit.errors import InputError, StoreError, TransientStoreError
from embedkit.stores.contract import StoreURL

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
    """Raise `TransientStoreError` within ``CONNECT_SECONDS`` unless something listens at ``url``, by default at
    ``port``."""
    address = (url.host, url.port or port)
    try:
        socket.create_connection(address, CONNECT_SECONDS).close()
    except OSError as error:
        raise TransientStoreError(
            f"no {url.scheme} server answers at {address[0]}:{address[1]} ({error}): "
            f"start it, or correct the store URL {url.text!r}"
        ) from error


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
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or timezone.utc) - datetime.now(timezone.utc)).total_seconds())
