"""What runs a graph: the interface that each engine fills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt


class Session(ABC):
    """One graph, loaded by one engine. Several threads may call `run` at once."""

    @abstractmethod
    def run(self, inputs: Mapping[str, npt.NDArray[np.int64]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The named outputs of the graph, float32, (rows, dim) or (rows, tokens, dim), of inputs that are (rows, tokens) or
        (rows,)."""

    def widths(self, lengths: npt.NDArray[np.int64], longest: int) -> npt.NDArray[np.int64]:
        """(texts,) token slots that texts of so many tokens are padded to at least, none above ``longest`` unless its
        text is: an engine may compute some widths better than others."""
        return lengths

    def rows(self, count: int) -> int:
        """The rows that a batch of ``count`` is filled up to."""
        return count


class Spread(Session):
    """Several sessions of one graph, such as one a device: each batch goes to one that is idle."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._first = sessions[0]
        self._idle: SimpleQueue[Session] = SimpleQueue()
        for session in sessions:
            self._idle.put(session)

    def run(self, inputs: Mapping[str, npt.NDArray[np.int64]], outputs: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The outputs of the session that was idle first."""
        session = self._idle.get()
        try:
            return session.run(inputs, outputs)
        finally:
            self._idle.put(session)

    def widths(self, lengths: npt.NDArray[np.int64], longest: int) -> npt.NDArray[np.int64]:
        """Those of each of the sessions."""
        return self._first.widths(lengths, longest)

    def rows(self, count: int) -> int:
        """Those of each of the sessions."""
        return self._first.rows(count)
