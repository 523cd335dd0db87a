"""Requests to a server: asked again where that may help, and errors that say what to do, without the key."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec

from embedkit.errors import RemoteError

from .address import ASKING_KEY, ServerAddress
from .connections import Connections, Response, Unanswered

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
_LONGEST_WAIT = 120.0
_FIRST_WAIT, _MOST_WAIT = 0.5, 8.0


class Client:
    """Asks one server. Several threads may share one.

    A request is tried again, at most ``retries`` times, where the server says that it is overloaded, fails, or does not answer:
    after as long as it asks for (``Retry-After``), else after waits that double from half a second. ``outages`` counts how often
    it was found gone or starting, after which another model may answer.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        key_variable: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.address, self.retries, self.outages = address, retries, 0
        self._key_variable, self._sleep = key_variable, sleep
        self._connections = Connections(address, timeout)
        address.key(key_variable)  # told now where it is missing

    def get(self, route: str) -> Any:
        """What JSON a route gives; raises `RemoteError`."""
        return self._json(route, self._tried("GET", self.address.target(route), None))

    def post(self, route: str, body: Any, *, root: bool = False) -> Any:
        """What JSON a route answers to ``body``; raises `RemoteError`."""
        target = self.address.target(route, root=root)
        return self._json(route, self._tried("POST", target, msgspec.json.encode(body)))

    @property
    def renewed(self) -> int:
        """How many connections the server had closed while they waited."""
        return self._connections.renewed

    def close(self) -> None:
        """Close the connections that wait."""
        self._connections.close()

    def _tried(self, method: str, target: str, body: bytes | None) -> Response:
        headers = {"Accept": "application/json", "User-Agent": "embedkit"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        key = self.address.key(self._key_variable)
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        for attempt in range(self.retries + 1):
            response, reason = None, ""
            try:
                response = self._connections.ask(method, target, headers, body)
            except Unanswered as error:
                reason = str(error)
            if response is not None and 200 <= response.status < 300:
                return response
            if response is None or response.status in (502, 503, 504):
                self.outages += 1
            wait = _wait(response, attempt)
            if attempt == self.retries or wait is None:
                raise self._error(response, reason, attempt + 1, key)
            self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _error(self, response: Response | None, reason: str, attempts: int, key: str | None) -> RemoteError:
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        if response is None:
            return RemoteError(f"{self.address}: {reason}{tried}; is the server there?")
        status, said = response.status, _message(response)
        if key is not None:  # a server may say it back
            said = said.replace(key, "***")
        hint = {
            401: f"set {self._key_variable or ASKING_KEY} in the environment to the server's key",
            403: f"the key in {self._key_variable or ASKING_KEY} does not allow this",
            404: "the address often ends in /v1; a model is named after a #, or by model=",
            413: "send less at a time (batch_size)",
            429: "it is overloaded, or a quota is used up; try again later, or with fewer requests at once (concurrency)",
            503: "it is starting or overloaded; try again later",
        }.get(status, "")
        if 300 <= status < 400:
            hint = "it leads elsewhere, and a key is not sent there: give the address where it leads"
        told = f"{self.address}: the server answered {status}{tried}: {said or 'and said nothing'}"
        return RemoteError(f"{told}; {hint}" if hint else told, status=status, said=said)

    def _json(self, route: str, response: Response) -> Any:
        try:
            return msgspec.json.decode(response.body)
        except msgspec.DecodeError as error:
            raise RemoteError(
                f"{self.address}: expected JSON from {route}, found {response.body[:60]!r} ({error}); is this the address of a server "
                "of embeddings, as http://host/v1?"
            ) from error


def _wait(response: Response | None, attempt: int) -> float | None:
    """Seconds until the next attempt; None where none would help."""
    if response is not None:
        told = response.headers.get("x-should-retry", "").lower()
        if told == "false" or (response.status not in _PASSING and told != "true"):
            return None
        asked = _retry_after(response)
        if asked is not None:
            return asked if asked <= _LONGEST_WAIT else None
    longest = min(_FIRST_WAIT * 2.0**attempt, _MOST_WAIT)
    return float(longest * (0.75 + 0.25 * random.random()))  # so that many clients do not come back together


def _retry_after(response: Response) -> float | None:
    """What the server asks to wait, in seconds."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        given = response.headers.get(name, "").strip()
        if not given:
            continue
        try:
            seconds = float(given) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
            except ValueError:
                continue
        if seconds == seconds:
            return max(0.0, seconds)
    return None


def _message(response: Response) -> str:
    """What the server says of its error, whichever way it says it."""
    try:
        found = msgspec.json.decode(response.body)
    except msgspec.DecodeError:
        return response.body[:200].decode("utf-8", "replace").strip()
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return found[:500] if isinstance(found, str) else msgspec.json.encode(found).decode()[:500]
