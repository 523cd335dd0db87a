"""What is the same for every store, done once above the plugins.

`GuardedStore` and `GuardedCollection` have the methods of the contract and add: names that lead on (`guarding.aliases`), validation with
expected and actual values, unit length under cosine, the last of several rows with one id, splitting by the store's limits, a lock where
it is not thread-safe, filters that it cannot answer finished here, and refusal of another model's vectors.
"""

from __future__ import annotations

import copy
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import TracebackType

from embedkit.checks import check_id, one_of
from embedkit.errors import CollectionNotFoundError, InputError, StoreError
from embedkit.records.coercion import MetadataMode, check_mode
from embedkit.system.renames import renamed

from .contract import Capabilities, Collection, CollectionSpec, IfExists, StoreURL, VectorStore
from .fingerprint import require_same
from .guarding.aliases import KEPT_IN, Alias, Aliases
from .guarding.collection import GuardedCollection as GuardedCollection
from .plugins import keeping


class GuardedStore:
    """What `embedkit.open_store` returns: a `VectorStore` and context manager whose collections check what they get, and whose names
    may lead to other collections (`switch`)."""

    def __init__(self, inner: VectorStore, address: StoreURL | None = None) -> None:
        self.inner, self.address = inner, address
        caps = inner.caps
        self._lock: AbstractContextManager[object] = nullcontext() if caps.thread_safe else threading.RLock()
        self._closed = False
        self._follows = True

    @property
    def caps(self) -> Capabilities:
        """What this store can do."""
        return self.inner.caps

    @renamed(metadata="metadata_policy")
    def ensure(
        self, spec: CollectionSpec, *, if_exists: IfExists = "validate", metadata_policy: MetadataMode = "strict"
    ) -> GuardedCollection:
        """Open or create the collection, or that to which its name leads.

        ``if_exists``: ``validate`` raises `CollectionMismatchError` where an existing one has another dimension,
        metric or fingerprint; ``replace`` drops it first; ``error`` refuses any existing one. ``metadata_policy`` says what is
        done with values that cannot be kept as they are: see `embedkit.records.coercion.converted`.
        """
        check_mode(metadata_policy)
        if not isinstance(spec, CollectionSpec):
            raise InputError(f"spec: expected a CollectionSpec, found {type(spec).__name__}")
        one_of("if_exists", if_exists, ("validate", "replace", "error"))
        self.require_able(spec)
        with self._lock:
            spec = replace(spec, name=self._led(spec.name))
            if if_exists == "error" and spec.name in self.inner.names():
                raise StoreError(f"collection {spec.name!r} exists already; drop it, or pass if_exists='validate'")
            if if_exists == "replace":
                self.inner.drop(spec.name)
            found = self.inner.ensure(spec)
        for field in ("dim", "metric", "fingerprint", "sparse", "multivector"):
            require_same(spec.name, field, getattr(found.info, field), getattr(spec, field))
        return GuardedCollection(found, self.caps, self._lock, metadata_policy)

    def require_able(self, spec: CollectionSpec) -> None:
        """Raise `StoreError` where this store cannot keep such a collection: its metric, its sizes, its kinds of vectors."""
        caps = self.caps
        if spec.metric not in caps.metrics:
            raise StoreError(
                f"collection {spec.name!r}: this store has no metric {spec.metric!r}; it has {sorted(caps.metrics)}"
            )
        if max(spec.dim, spec.multivector) > caps.max_dim:
            raise StoreError(
                f"collection {spec.name!r}: this store holds at most {caps.max_dim} dimensions, found "
                f"{max(spec.dim, spec.multivector)}"
            )
        if spec.sparse and not caps.sparse:
            raise StoreError(_cannot_keep(spec.name, "sparse", "sparse vectors"))
        if spec.multivector and not caps.multivector:
            raise StoreError(_cannot_keep(spec.name, "multivector", "several vectors a row"))

    @renamed(metadata="metadata_policy")
    def open(self, name: str, *, metadata_policy: MetadataMode = "strict") -> GuardedCollection:
        """Open an existing collection, or that to which the name leads; raises `CollectionNotFoundError`. ``metadata_policy`` is as in
        `ensure`. What was opened stays what it is, wherever the name leads afterwards."""
        check_mode(metadata_policy)
        with self._lock:
            return GuardedCollection(self._opened(self._led(name)), self.caps, self._lock, metadata_policy)

    def names(self) -> list[str]:
        """The names that can be opened, sorted: of the collections, and those that lead to one."""
        with self._lock:
            found = self.inner.names()
            if KEPT_IN not in found:
                return found
            led = [alias.name for alias in Aliases(self.inner).all()] if self._follows else []
            return sorted({*found, *led} - {KEPT_IN})

    def drop(self, name: str) -> None:
        """Delete a collection and its rows; no error where there is none. Of a name that leads on, all that it led to is deleted, and the
        name with it; what another name leads to is refused with `StoreError`."""
        check_id(name, "collection name")
        with self._lock:
            aliases = Aliases(self.inner)
            alias = aliases.find(name) if self._follows else None
            doomed = [alias.collection, *alias.former] if alias else [name]
            for other in aliases.all():
                if other.collection in doomed and other != alias:
                    raise StoreError(
                        f"collection {other.collection!r}: {other.name!r} leads to it; drop that name, or lead it to another collection first"
                    )
            for each in doomed:
                self.inner.drop(each)
            if alias:
                aliases.remove(name)

    def aliases(self) -> list[Alias]:
        """The names that lead to collections, where to, and where they led before."""
        with self._lock:
            return Aliases(self.inner).all()

    def resolve(self, name: str) -> str:
        """The collection that a name means: that to which it leads, or itself."""
        with self._lock:
            return self._led(name)

    def switch(self, name: str, collection: str) -> Alias:
        """Let a name lead to a collection from now on, at once and for all who ask: in this store they have the one collection or the
        other, never a part of each. ``name`` may be a collection's own; this stays, and is found by its name again once the name leads
        back. Raises `CollectionNotFoundError` where there is no such collection."""
        check_id(collection, "collection name")
        with self._lock:
            aliases = Aliases(self.inner)
            self._opened(collection)
            before = aliases.find(check_id(name, "collection name")) or Alias(name, name)
            after = before.led(collection)
            if before.collection == name and name not in self.inner.names():
                after = replace(after, former=tuple(each for each in after.former if each != name))
            aliases.put(after)
            return after

    def switch_back(self, name: str) -> Alias:
        """Let a name lead where it led before its last switch. Raises `CollectionNotFoundError` where it led nowhere, or to what is no
        longer there."""
        with self._lock:
            alias = Aliases(self.inner).find(check_id(name, "collection name"))
            if alias is None or not alias.former:
                raise CollectionNotFoundError(
                    f"the name {name!r} led to no other collection before; there is nothing to go back to"
                )
            return self.switch(name, alias.former[-1])

    def drop_former(self, name: str) -> tuple[str, ...]:
        """Delete the collections that a name led to before, and their rows; their names. None of them can be gone back to."""
        with self._lock:
            aliases = Aliases(self.inner)
            alias = aliases.find(check_id(name, "collection name"))
            if alias is None:
                return ()
            taken = {other.collection for other in aliases.all()}
            dropped = tuple(each for each in alias.former if each not in taken)
            for each in dropped:
                self.inner.drop(each)
            aliases.put(replace(alias, former=()))
            return dropped

    def exact(self) -> GuardedStore:
        """The same connection, in which a name means the collection of that name alone; it is closed with this one."""
        view = copy.copy(self)
        view._follows = False
        return view

    def _led(self, name: str) -> str:
        check_id(name, "collection name")
        alias = Aliases(self.inner).find(name) if self._follows else None
        return alias.collection if alias else name

    def _opened(self, collection: str) -> Collection:
        try:
            return self.inner.open(collection)
        except CollectionNotFoundError:
            known = ", ".join(each for each in self.inner.names() if each != KEPT_IN) or "none"
            raise CollectionNotFoundError(f"no collection {collection!r}; there are: {known}") from None

    def close(self) -> None:
        """Release the connection; closing twice is no error."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.inner.close()

    def __enter__(self) -> GuardedStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cannot_keep(name: str, kind: str, words: str) -> str:
    others = ", ".join(keeping(kind)) or "no installed one"
    return (
        f"collection {name!r}: this store keeps no {words}; {others} could, and an ingest with outputs=['dense'] (--outputs dense) "
        "leaves them out"
    )
