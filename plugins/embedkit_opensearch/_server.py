"""A connection to one server: requests, and errors that say what to do next. Threads may share it."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from opensearchpy import OpenSearch, Urllib3HttpConnection
from opensearchpy.exceptions import TransportError

from embedkit.stores import StoreError, TransientStoreError, request_seconds

from ._errors import refused, translated

_THREADS = 16
"""Connections that are kept open."""


class Server:
    """The server at ``address``."""

    def __init__(
        self,
        address: str,
        *,
        username: str | None = None,
        password: str | None = None,
        api_key: str | None = None,
        ca_certs: str | None = None,
    ) -> None:
        self.address = address
        headers = {}
        if api_key:
            headers["authorization"] = f"ApiKey {api_key}"
        elif username:
            told = f"{username}:{password or ''}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(told).decode()}"
        with translated(f"connecting to {address}"):
            self._client = OpenSearch(
                [address],
                connection_class=_Connection,
                headers=headers,
                ca_certs=ca_certs,
                timeout=request_seconds(),
                max_retries=0,  # that is done above the stores
                pool_maxsize=_THREADS,
            )
        self._closed = False

    def ask(self, what: str, method: str, path: str, body: Any = None, **params: str) -> Any:
        """The answer to a request; what goes wrong is an embedkit error that says ``what`` was done."""
        text = None if body is None else json.dumps(body, ensure_ascii=False)
        return self._ask(what, method, path, text, params, "application/json")

    def ask_lines(self, what: str, path: str, lines: Iterable[str], **params: str) -> Any:
        """The answer to several requests in one, of which each has one or two lines of JSON."""
        text = "".join(f"{line}\n" for line in lines)
        return self._ask(what, "POST", path, text, params, "application/x-ndjson")

    def search(self, what: str, index: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a search, of all its shards."""
        found: dict[str, Any] = self.ask(what, "POST", f"/{index}/_search", body, allow_partial_search_results="false")
        return _whole(what, found)

    def searches(self, what: str, index: str, bodies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to several searches."""
        head = json.dumps({"allow_partial_search_results": False})
        lines = [line for body in bodies for line in (head, json.dumps(body, ensure_ascii=False))]
        answers = self.ask_lines(what, f"/{index}/_msearch", lines)["responses"]
        for answer in answers:
            if "error" in answer:
                raise refused(what, int(answer.get("status", 500)), answer)
        return [_whole(what, answer) for answer in answers]

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._client.close()

    def _ask(self, what: str, method: str, path: str, text: str | None, params: Mapping[str, str], kind: str) -> Any:
        if self._closed:
            raise StoreError(f"{what}: the store was closed; open it again")
        with translated(what):
            return self._client.transport.perform_request(
                method, path, params=dict(params), body=text, headers={"content-type": kind}
            )


class _Connection(Urllib3HttpConnection):
    """A connection of the client whose errors have the answer's headers, which say when to try again."""

    def perform_request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        ignore: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's status, headers and text."""
        status, told, text = super().perform_request(method, url, params, body, timeout, range(600), headers)
        if not 200 <= status < 300:
            raise TransportError(status, text, dict(told))
        return status, told, text


def _whole(what: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it is of all shards; a server that is told so gives no other."""
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
        raise TransientStoreError(f"{what}: the server answered for a part of its shards alone; try again later")
    return answer
