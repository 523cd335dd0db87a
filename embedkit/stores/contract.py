"""The contract of a vector store: what a plugin implements, and the values that pass through it.

A plugin implements `VectorStore` and `Collection` in terms of one database. What is the same for every database
(validation, unit length under cosine, duplicate ids, the store's row limit, locking, fingerprints) is done once above
the plugins, in
``guarded.py``; so a plugin may rely on what each method below says it is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable
from urllib.parse import unquote, urlsplit

from embedkit.checks import check_text, integer, one_of, positive
from embedkit.errors import InputError, StoreURLError
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import Hit, Page, Record, WriteResult
from embedkit.records.filters import OPS, Filter
from embedkit.vectors.arrays import FloatArray
from embedkit.vectors.multivector import MultiVectors
from embedkit.vectors.sparse import SparseVectors

from .keeping import Keeping

Metric: TypeAlias = Literal["cosine", "dot", "euclidean"]
METRICS: frozenset[Metric] = frozenset({"cosine", "dot", "euclidean"})
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
IfExists: TypeAlias = Literal["validate", "replace", "error"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do. embedkit splits, locks or refuses by it, so it must be true."""

    max_batch_rows: int = 1000
    """Most rows that one `Collection.upsert` is given."""
    max_batch_bytes: int | None = None
    """Most bytes that the rows of one `Collection.upsert` have by `embedkit.records.RecordBatch.sizes`, unless a single row
    has more; None where only their number counts."""
    thread_safe: bool = True
    """Whether several threads may call the store at once; where not, embedkit holds a lock."""
    multi_process: bool = True
    """Whether several processes may write to the same address."""
    filter_ops: frozenset[str] = OPS
    """The filter operators that the store answers exactly. What needs another one embedkit finishes itself: it asks the
    store for the rows that satisfy the rest, and compares each (``guarding/post_filter.py``), which reads all of them."""
    orders_text: bool = True
    """Whether ``< <= > >=`` order text, by code point; where not, embedkit finishes that too."""
    orders_integers: bool = True
    """Whether ``< <= > >=`` tell integers beyond 2**53 apart, which float64 rounds; where not, embedkit finishes that."""
    metrics: frozenset[Metric] = frozenset({"cosine", "dot"})
    max_dim: int = 65_535
    sparse: bool = False
    """Whether a collection may keep a sparse vector a row, and its `Collection` is a `SparseCollection`."""
    negative_weights: bool = True
    """Whether a sparse vector may hold numbers below 0; where not, embedkit refuses such a row, and such a question."""
    max_weights: int | None = None
    """Most numbers other than 0 in a sparse vector; embedkit refuses a row, and a question, that has more."""
    multivector: bool = False
    """Whether a collection may keep several vectors a row, and its `Collection` is a `MultiVectorCollection`."""
    max_filter_values: int | None = None
    """Most values in one filter, those of all its comparisons together; what is beyond embedkit finishes itself."""
    max_comparisons: int | None = None
    """Most comparisons in one filter; what is beyond embedkit finishes itself."""
    max_filter_depth: int | None = None
    """Most levels of a filter, of which a comparison is one; what is beyond embedkit finishes itself."""
    indexed: bool = True
    """Whether a search goes by an index, which may lose a row; where not, it compares all rows, and `embedkit.check` need not
    search for them."""
    precisions: frozenset[str] = frozenset({"float32"})
    """Of `embedkit.stores.keeping.PRECISIONS` those in which it keeps dense vectors; it then gives back what it was given, and with
    ``+full`` searches by the rounded ones and ranks by the full ones."""
    index: frozenset[str] = frozenset()
    """The settings of an index, of `embedkit.stores.keeping.SETTINGS`, that it takes."""
    max_id_bytes: int | None = None
    """Most bytes of an id in UTF-8; embedkit refuses a row that has a longer one."""
    max_row_bytes: int | None = None
    """Most bytes of a row's text and of its metadata twice, in UTF-8, since what can be filtered on is kept again; embedkit
    refuses a row that has more."""


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """A collection to be made: ``dim`` float32 numbers a vector; ``fingerprint`` names the vector space (empty
    where it has no name: it is compared like any other). ``sparse`` is the size of the vocabulary of its sparse vectors,
    ``multivector`` the numbers in each of a row's several vectors, 0 where it keeps none; ``dim`` is 0 where it keeps these
    only."""

    name: str
    dim: int
    metric: Metric = "cosine"
    fingerprint: str = ""
    sparse: int = 0
    multivector: int = 0

    def __post_init__(self) -> None:
        check_text(self.name, "collection name", allow_nul=False)
        if not self.name:
            raise InputError("collection name: expected a non-empty string")
        for field in ("sparse", "multivector"):
            integer(f"collection {self.name!r}: {field}", getattr(self, field), least=0)
        if self.sparse or self.multivector:
            integer(f"collection {self.name!r}: dim", self.dim, least=0)
        else:
            positive(f"collection {self.name!r}: dim", self.dim)
        one_of(f"collection {self.name!r}: metric", self.metric, sorted(METRICS))

    @property
    def keeping(self) -> Keeping:
        """How its dense vectors are kept, which the fingerprint says."""
        return Keeping.of(self.fingerprint)


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection was made for; it outlives the process."""

    name: str
    dim: int
    metric: Metric
    fingerprint: str
    sparse: int = 0
    multivector: int = 0

    @classmethod
    def of(cls, spec: CollectionSpec) -> CollectionInfo:
        """What a collection made from ``spec`` is made for."""
        return cls(spec.name, spec.dim, spec.metric, spec.fingerprint, spec.sparse, spec.multivector)

    @property
    def keeping(self) -> Keeping:
        """How its dense vectors are kept, which the fingerprint says."""
        return Keeping.of(self.fingerprint)


@runtime_checkable
class Collection(Protocol):
    """Rows of one vector space. Any non-empty string is an id; what was written comes back equal."""

    @property
    def info(self) -> CollectionInfo:
        """What the collection was made for."""

    def upsert(self, batch: RecordBatch) -> WriteResult:
        """Insert or wholly replace rows. Given: at most ``max_batch_rows`` rows, distinct ids, vectors of the right
        dimension, of unit length under cosine. When it returns, the rows it counts as written survive the process."""

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[Record]:
        """The rows that exist among ``ids`` (distinct), in any order; ``vector`` is None where the store has lost it."""

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """The content hash of each row that exists among ``ids``, without fetching the rest of the row."""

    def delete(self, *, ids: Sequence[str] | None = None, filter: Filter | None = None) -> int | None:
        """Delete by ids or by filter (exactly one is given); the number deleted where the store knows it, else None."""

    def query(self, vectors: FloatArray, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """For each of the (n, dim) float32 vectors the ``k`` (below 2**31) nearest rows that satisfy ``filter``, best first; a
        higher score is nearer: the cosine or the dot product itself, or minus the euclidean distance. An approximate
        index may miss a few rows."""

    def scan(self, *, filter: Filter | None = None, cursor: str | None = None, limit: int = 1000) -> Page:
        """The next ``limit`` rows (without vectors) after ``cursor``, in a fixed order, each once over the whole scan; none
        is left out because others are written or deleted meanwhile."""

    def count(self, filter: Filter | None = None) -> int:
        """The exact number of rows that satisfy ``filter``."""

    def flush(self) -> None:
        """Return when everything written is as durable and as searchable as the store makes it."""


@runtime_checkable
class SparseCollection(Protocol):
    """What a collection of a store that keeps sparse vectors can do too."""

    def query_sparse(self, vectors: SparseVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """For each sparse vector the ``k`` rows with the largest dot product that satisfy ``filter``, best first; a row that
        shares no number with it may be left out."""


@runtime_checkable
class MultiVectorCollection(Protocol):
    """What a collection of a store that keeps several vectors a row can do too."""

    def query_multivector(self, vectors: MultiVectors, k: int, *, filter: Filter | None = None) -> list[list[Hit]]:
        """For each text's vectors the ``k`` rows with the largest `embedkit.MultiVectors.maxsim` that satisfy ``filter``,
        best first."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """``bytes`` of the store that are a collection's own, and in words the ``index`` by which it is searched now."""

    bytes: int | None
    index: str


@runtime_checkable
class MeasuredCollection(Protocol):
    """What a collection can do where its store tells how large it is; it need not."""

    def measured(self) -> Footprint:
        """Its bytes, those of its indexes included, and its index."""


@runtime_checkable
class VectorStore(Protocol):
    """A connection to one database, made from a `StoreURL` by a plugin's entry point."""

    @property
    def caps(self) -> Capabilities:
        """What this store can do."""

    def ensure(self, spec: CollectionSpec) -> Collection:
        """Open the collection of this name, or create it from ``spec``, with its info kept in the database. An
        existing one is returned as it is (embedkit compares its info)."""

    def open(self, name: str) -> Collection:
        """Open an existing collection; raise `CollectionNotFoundError` where there is none."""

    def names(self) -> list[str]:
        """The collections' names, sorted."""

    def drop(self, name: str) -> None:
        """Delete a collection and its rows; no error where there is none. A `Collection` of it that is still held
        raises `StoreError` when it is used."""

    def close(self) -> None:
        """Release the connection; closing twice is no error."""


@dataclass(frozen=True, slots=True)
class StoreURL:
    """A store's address, taken apart.

    ``scheme:relative/path``, ``scheme:///absolute/path``, ``scheme://host:port`` and ``scheme+https://host:port``; the
    scheme names the plugin. ``~`` at the beginning of a path is the home folder, and %20, %23 and %3F stand for a space, ``#`` and
    ``?``; a path may be one of Windows (``scheme:C:\\index``). Credentials have no place in it: they come from the environment.
    """

    text: str
    scheme: str
    transport: str
    """What follows the ``+`` in the scheme, such as ``https``; empty where there is none."""
    host: str
    port: int | None
    path: str

    @classmethod
    def parse(cls, text: str) -> StoreURL:
        """Take ``text`` apart; raises `StoreURLError` saying what is wrong with it."""
        if not isinstance(text, str) or ":" not in text:
            raise StoreURLError(
                f"store URL {text!r}: expected SCHEME:PATH or SCHEME://HOST:PORT, for example  chroma:index"
            )
        if _DRIVE.match(text):
            raise StoreURLError(f"store URL {text!r}: a folder needs its store's name before it, as chroma:{text}")
        whole, _, rest = text.partition(":")
        scheme, _, transport = whole.lower().partition("+")
        if rest.rstrip("/") == "//:memory:":
            return cls(text, scheme, transport, ":memory:", None, "")
        if rest.startswith("//") and "@" in rest[2:].partition("/")[0]:
            raise StoreURLError(
                f"store URL for {scheme!r}: credentials must not be part of it; set the store's environment variables"
            )
        if mark := next((mark for mark in "?#" if mark in rest), ""):
            written = rest.replace("?", "%3F").replace("#", "%23")
            raise StoreURLError(
                f"store URL {text!r}: no store takes options after {mark!r}; in a name it is written %{ord(mark):02X}, as "
                f"{whole}:{written}"
            )
        if other := _ADDRESS.match(rest):
            server = f"{scheme}+https" if other[1].lower() == "https" else scheme
            raise StoreURLError(
                f"store URL for {scheme!r}: found an address of {other[1]} after {whole}:, and no folder; a server, of a store that "
                f"has one, is written {server}://HOST:PORT"
            )
        if not rest.startswith("//"):
            return cls(text, scheme, transport, "", None, _path(rest, text))
        inside = rest[2:]
        if _DRIVE.match(inside) or inside.startswith("/"):
            return cls(text, scheme, transport, "", None, _path(inside, text))
        if inside.startswith("~") or not inside.isprintable():
            raise StoreURLError(f"store URL {text!r}: expected a host after //; a folder is written {whole}:{inside}")
        try:
            parts = urlsplit(f"store:{rest}")
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise StoreURLError(f"store URL {text!r}: {error}") from None
        return cls(text, scheme, transport, host, port, _path(parts.path, text))


def _path(written: str, text: str) -> str:
    """A path as it is meant: with its escapes (%20) read, ``~`` as the home folder, and a Windows drive without the ``/`` before it."""
    path = unquote(written, errors="surrogateescape")
    if "\0" in path:
        raise StoreURLError(f"store URL {text!r}: a path cannot hold NUL; take it out")
    if path.startswith("/") and _DRIVE.match(path[1:]):
        return path[1:]
    if written.startswith("~"):
        with suppress(ValueError):  # the name of no user
            path = os.path.expanduser(path)
        if path == "~" or path.startswith(("~/", "~\\")):
            raise StoreURLError(f"store URL {text!r}: the home folder is not known here; write the whole path")
    return path
