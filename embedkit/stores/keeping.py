"""How a collection keeps its dense vectors: in how many bits, and in what index.

It is the last part of a collection's fingerprint, so every store keeps it, a copy takes it along, and vectors of two precisions are
not mixed. What is rounded is rounded above the plugins, a row by itself, and the question like the rows: a plugin is given float32
vectors that its own type holds without a loss, and gives them back equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from embedkit.checks import integer, one_of
from embedkit.errors import OptionError
from embedkit.vectors.arrays import FloatArray

KeptPrecision: TypeAlias = Literal["float32", "float16", "int8", "binary", "int8+full", "binary+full"]
"""float16, 8 bits or one bit a number; with ``+full`` the store searches by these, and ranks what it finds by the full vectors, which
it keeps beside them."""
PRECISIONS: tuple[str, ...] = get_args(KeptPrecision)
SETTINGS = {
    "m": "edges of a row in a graph (HNSW)",
    "ef": "rows in view while a graph is built",
    "search": "rows in view while a graph is searched",
    "lists": "partitions of an index (IVF)",
    "probes": "partitions that a search looks into",
}
"""What an index may be told, of which a store takes some."""

INDEXED_FROM = 1_000
"""Rows from which a store makes an index that was asked for."""

_MARK = " keeps "
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Keeping:
    """The precision of a collection's dense vectors, and the settings of their index by name, those that were given alone."""

    precision: str = "float32"
    index: tuple[tuple[str, int], ...] = ()

    @classmethod
    def made(cls, precision: str, index: Mapping[str, int]) -> Keeping:
        """From what a user gives; raises `OptionError` for another precision, setting or number."""
        one_of("precision", precision, list(PRECISIONS))
        if not isinstance(index, Mapping):
            raise OptionError(f"index: expected settings such as {{'m': 32, 'ef': 200}}, found {index!r:.80}")
        for name, value in index.items():
            one_of("index", name, list(SETTINGS))
            integer(f"index {name}", value, least=1, most=_MOST)
        return cls(precision, tuple(sorted(index.items())))

    @classmethod
    def of(cls, fingerprint: str) -> Keeping:
        """What a collection's fingerprint says."""
        _, mark, told = fingerprint.rpartition(_MARK)
        if not mark:
            return cls()
        found = json.loads(told)
        return cls(found.get("precision", "float32"), tuple(sorted(found.get("index", {}).items())))

    @property
    def base(self) -> str:
        """The precision by which is searched: ``float32``, ``float16``, ``int8`` or ``binary``."""
        return self.precision.partition("+")[0]

    @property
    def full(self) -> bool:
        """Whether full vectors are kept: alone, or beside the rounded ones."""
        return self.precision == "float32" or self.precision.endswith("+full")

    @property
    def wants_index(self) -> bool:
        """Whether an index was asked for: by its settings, or to be searched by rounded vectors. A store makes one of a thousand
        rows or more then."""
        return bool(self.index) or (self.full and self.precision != "float32")

    def setting(self, name: str, default: int) -> int:
        """A setting of the index, or what the store takes by itself."""
        return dict(self.index).get(name, default)

    def added_to(self, fingerprint: str) -> str:
        """A fingerprint, with this after it where it is not what all stores do."""
        told: dict[str, Any] = {} if self.precision == "float32" else {"precision": self.precision}
        if self.index:
            told["index"] = dict(self.index)
        return f"{fingerprint}{_MARK}{json.dumps(told, sort_keys=True)}" if told else fingerprint

    def __str__(self) -> str:
        return ", ".join([self.precision, *(f"{name}={value}" for name, value in self.index)])


def without_keeping(fingerprint: str) -> str:
    """A collection's fingerprint without how its vectors are kept."""
    head, mark, _ = fingerprint.rpartition(_MARK)
    return head if mark else fingerprint


def rounded(vectors: FloatArray, precision: str) -> FloatArray:
    """(n, dim) float32 vectors as a precision keeps them, as float32 again: ``float16`` the nearest half; ``int8`` of unit length and with
    the direction of whole numbers from -127 to 127, of which the largest is one of these; ``binary`` of unit length, with all
    numbers of one size. To round twice is to round once."""
    return vectors if precision == "float32" else unpacked(packed(vectors, precision), precision, vectors.shape[1])


def packed(vectors: FloatArray, precision: str) -> npt.NDArray[Any]:
    """(n, dim) float32 vectors in few bits: ``float16`` (n, dim), ``int8`` (n, dim), or of ``binary`` uint8 (n, ceil(dim / 8)), a bit a
    number, the first one highest."""
    if precision == "float16":
        return np.asarray(np.clip(vectors, -65_504, 65_504), np.float16)
    if precision == "int8":
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
        return np.asarray(np.rint(vectors * (np.float32(127) / np.maximum(largest, np.float32(1e-30)))), np.int8)
    return np.packbits(vectors > 0, axis=1) if precision == "binary" else vectors


def unpacked(kept: npt.NDArray[Any], precision: str, dim: int) -> FloatArray:
    """(n, dim) float32 of what `packed` gave."""
    if precision == "binary":
        bits = np.unpackbits(kept, axis=1, count=dim).astype(np.float32)
        bits *= 2
        bits -= 1
        bits /= np.float32(np.sqrt(dim))
        return bits
    floats = np.array(kept, np.float32)
    if precision == "int8":
        floats /= np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), np.float32(1e-30))
    return floats
