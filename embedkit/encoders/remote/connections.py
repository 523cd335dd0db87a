"""Connections to one server, kept open and used again; each is one thread's at a time.

They are the standard library's: an HTTP client is no part of what embedkit installs, and what is needed of one is little.
"""

from __future__ import annotations

import base64
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from urllib.parse import unquote, urlsplit

from embedkit.errors import OptionError

from .address import Address


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered; ``headers`` by names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unanswered(Exception):
    """No whole answer came; the message says why."""


class Connections:
    """Open connections that wait to be used; safe to be shared by threads. ``timeout`` is of connecting, and of each wait for bytes,
    in seconds. ``renewed`` counts the connections that the server had closed while they waited: it may have been started anew."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.address, self.timeout, self.renewed = address, timeout, 0
        self._proxy = _proxy(address)
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._idle: list[HTTPConnection] = []
        self._lock = Lock()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """The answer to a request; raises `Unanswered`. One over a connection that the server closed while it waited is sent again
        over a new one."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._over(connection, method, target, headers, body)
            except (BadStatusLine, ConnectionError):
                self.renewed += 1
        connection = self._opened()
        try:
            return self._over(connection, method, target, headers, body)
        except (HTTPException, OSError) as error:
            raise Unanswered(_reason(error)) from error

    def close(self) -> None:
        """Close those that are not in use."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _over(
        self, connection: HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        try:
            if self._proxy is not None and self.address.scheme == "http":
                whole, headers = f"http://{_authority(self.address)}{target}", {**headers, **self._proxy.headers}
            else:
                whole = target
            connection.request(method, whole, body, dict(headers))
            answer = connection.getresponse()
            found = Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except TimeoutError:
            connection.close()
            raise Unanswered(f"no answer within {self.timeout:g} seconds") from None
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return found

    def _opened(self) -> HTTPConnection:
        """A connection that is made when it is first used."""
        at, proxy = self.address, self._proxy
        host, port = (at.host, at.port) if proxy is None else (proxy.host, proxy.port)
        if self._tls is None:
            return HTTPConnection(host, port, timeout=self.timeout)
        secure = HTTPSConnection(host, port, timeout=self.timeout, context=self._tls)
        if proxy is not None:
            secure.set_tunnel(at.host, at.port, headers=dict(proxy.headers))
        return secure


@dataclass(frozen=True, slots=True)
class _Proxy:
    host: str
    port: int
    headers: Mapping[str, str]


def _proxy(address: Address) -> _Proxy | None:
    """The proxy that the environment names for the address."""
    url = urllib.request.getproxies().get(address.scheme)
    if not url or urllib.request.proxy_bypass(address.host):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host:
        raise OptionError(
            f"the environment names a proxy for {address.scheme} that is no address; repair {address.scheme}_proxy"
        )
    headers: dict[str, str] = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return _Proxy(host, port, headers)


def _authority(address: Address) -> str:
    name = f"[{address.host}]" if ":" in address.host else address.host
    return name if address.port == 80 else f"{name}:{address.port}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
