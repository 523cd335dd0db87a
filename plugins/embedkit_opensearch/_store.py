"""The store over a server: an index for each collection, in whose mapping is what it was made for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from embedkit.stores import CollectionNotFoundError, CollectionSpec, StoreError, safe_name

from ._collection import SearchCollection
from ._dialects import Dialect
from ._rows import index_body, info_of
from ._server import Server

_PREFIX = "embedkit-"


class SearchStore:
    """A `embedkit.stores.contract.VectorStore` over a server. Raises `StoreError` where it is too old, or of another kind."""

    def __init__(self, server: Server, dialect: Dialect) -> None:
        self.caps = dialect.caps
        self._server, self._dialect = server, dialect
        _require(server, dialect)

    def ensure(self, spec: CollectionSpec) -> SearchCollection:
        """Open the collection, or create it."""
        with suppress(CollectionNotFoundError):
            return self.open(spec.name)
        index = _index(spec.name)
        body = index_body(spec, self._dialect, _alias(index))
        try:
            self._server.ask(f"creating the collection {spec.name!r}", "PUT", f"/{index}", body)
        except StoreError:  # another process may have made it meanwhile
            with suppress(CollectionNotFoundError):
                return self.open(spec.name)
            raise
        return self.open(spec.name)

    def open(self, name: str) -> SearchCollection:
        """Open the collection, which embedkit must have made."""
        index = _index(name)
        described = self._described(name)
        info = info_of(described.get("mappings") or {})
        if info is None:
            raise StoreError(
                f"the index {index!r} was not made by embedkit; choose another name than {name!r}, or remove the index"
            )
        if _alias(index) not in (described.get("aliases") or {}):
            raise StoreError(
                f"the index {index!r} has lost its alias {_alias(index)!r}, through which rows are written; add it"
            )
        return SearchCollection(self._server, self._dialect, index, _alias(index), info)

    def names(self) -> list[str]:
        """The names of the collections that embedkit made."""
        found = self._server.ask("listing the collections", "GET", f"/{_PREFIX}*/_mapping")
        infos = [info_of(described.get("mappings") or {}) for described in found.values()]
        return sorted(info.name for info in infos if info)

    def drop(self, name: str) -> None:
        """Delete the collection, if there is one that embedkit made."""
        with suppress(CollectionNotFoundError):
            if info_of(self._described(name).get("mappings") or {}):
                self._server.ask(f"dropping the collection {name!r}", "DELETE", f"/{_index(name)}")

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _described(self, name: str) -> dict[str, Any]:
        """The aliases, mappings and settings of the collection's index."""
        try:
            found = self._server.ask(f"opening the collection {name!r}", "GET", f"/{_index(name)}")
        except CollectionNotFoundError:
            raise CollectionNotFoundError(f"no collection {name!r}") from None
        described: dict[str, Any]
        (described,) = found.values()
        return described


def _index(name: str) -> str:
    return _PREFIX + safe_name(name)


def _alias(index: str) -> str:
    """No collection's index has this name, which has a dot."""
    return f"{index}.rows"


def _require(server: Server, dialect: Dialect) -> None:
    told: Any = None
    with suppress(CollectionNotFoundError):  # as servers say of a path that is not theirs
        told = server.ask(f"connecting to {server.address}", "GET", "/")
    version = told.get("version") if isinstance(told, dict) else None
    if not isinstance(version, dict) or "number" not in version:
        raise StoreError(f"{server.address}: no {dialect.title} answers there; correct the store URL")
    number = str(version["number"])
    title = "OpenSearch" if version.get("distribution") == "opensearch" else "Elasticsearch"
    if title != dialect.title:
        raise StoreError(f"{server.address}: the server is {title} {number}; its store URL begins with {title.lower()}")
    if tuple(int(part) for part in number.split(".")[:2]) < dialect.oldest:
        oldest = ".".join(map(str, dialect.oldest))
        raise StoreError(f"{server.address}: the server is {title} {number}; {title} {oldest} or newer is needed")
