"""What runs a graph: the interface that each engine fills, and what is known of an engine before it is loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.errors import BundleError, DeviceError, EmbedkitError


class Session(ABC):
    """One graph, loaded by one engine. Several threads may call `run` at once.

    An engine that computes some shapes better than others says which: ``widths`` gives the (texts,) token slots that texts of
    so many tokens are padded to at least, none above its second argument unless its text is, and ``rows`` the rows that a
    batch of so many is filled up to.
    """

    widths: Callable[[npt.NDArray[np.int64], int], npt.NDArray[np.int64]] | None = None
    rows: Callable[[int], int] | None = None

    @abstractmethod
    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The named outputs of the graph, float32, (rows, dim) or (rows, tokens, dim), of inputs that are (rows, tokens) or
        (rows,)."""

    def on_threads(self, count: int) -> Session | None:
        """The same graph, of which one call is computed by ``count`` threads; None where the engine has no such session, or it would take
        much memory."""
        return None


def compute(
    session: Session, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], where: str
) -> list[npt.NDArray[np.float32]]:
    """What a session makes of inputs. What its engine raises becomes a `BundleError` that begins with ``where``, the graph's
    place in its manifest, or a `DeviceError` where memory is too little."""
    try:
        return session.run(inputs, outputs)
    except EmbedkitError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        told = " ".join(str(error).split())
        if isinstance(error, MemoryError) or any(sign in told.lower() for sign in _NO_MEMORY):
            raise DeviceError(
                f"too little memory to compute {shapes}; load with a smaller token_budget or fewer threads ({told})"
            ) from error
        raise BundleError(
            f"{where}: the graph cannot compute {shapes} ({told}); what the manifest says of its frontend (truncate.max, pad_id) "
            "or the tokenizer's ids are not what the graph reads: export the bundle again"
        ) from error


_NO_MEMORY = ("failed to allocate", "bad_alloc", "out of memory", "not enough memory")


class Spread(Session):
    """Several sessions of one graph, such as one a device: each batch goes to one that is idle."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.widths, self.rows = sessions[0].widths, sessions[0].rows
        self._idle: SimpleQueue[Session] = SimpleQueue()
        for session in sessions:
            self._idle.put(session)

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The outputs of the session that was idle first."""
        session = self._idle.get()
        try:
            return session.run(inputs, outputs)
        finally:
            self._idle.put(session)


@dataclass(frozen=True, slots=True)
class Device:
    """Where graphs are computed: ``cpu``, or another kind with the numbers of its devices."""

    kind: str = "cpu"
    indices: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(map(str, self.indices))}" if self.indices else self.kind


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine on one kind of device, told without importing its package.

    ``open`` makes the session of a graph's file for a precision, devices and a number of callers at a time; ``available``
    tells whether it can be used here (asked for a device other than the CPU when none is named).
    """

    name: str
    package: str
    open: Callable[[Path, str, Device, int], Session]
    device: str = "cpu"
    available: Callable[[], bool] = field(default=lambda: True)
    missing: str = ""
    """What to do where it is not available, for the message."""
    variants: tuple[str, ...] | None = None
    """The variants of a bundle that it reads; None for all."""
    preferred: tuple[str, ...] = ("int8", "fp32")
    """The variant that is taken where none is named: the first of these that the bundle has."""
    precisions: tuple[str, ...] = ()
    """Names that may stand behind its own and a colon; where it has some and none is named, the first, or that which
    was found to be the fastest here that keeps what the bundle promises."""
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The precisions that are tried in the place of a variant (or of ``*``, any other) where the engine is left open."""

    @property
    def names(self) -> tuple[str, ...]:
        """What ``engine=`` may say to mean it."""
        return (self.name, *(f"{self.name}:{precision}" for precision in self.precisions))
