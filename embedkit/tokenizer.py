"""From texts to ragged token ids: a role's template, the bundle's tokenizer, truncation that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .types import Frontend


@dataclass(frozen=True, slots=True)
class Ragged:
    """Token ids of n texts: ``ids[i]`` is int64 of its own length; ``truncated[i]`` tells whether tokens were cut
    off."""

    ids: list[npt.NDArray[np.int64]]
    truncated: npt.NDArray[np.bool_]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,) tokens of each text."""
        return np.fromiter((len(row) for row in self.ids), dtype=np.int64, count=len(self.ids))


class TextTokenizer:
    """Applies one `Frontend`; safe to be shared by threads."""

    def __init__(self, frontend: Frontend, tokenizer_file: Path) -> None:
        from tokenizers import Tokenizer

        self.frontend = frontend
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._max = frontend.truncate.max
        self._smart = frontend.truncate.mode == "smart"
        if self._smart:
            self._tokenizer.enable_truncation(self._max)
        else:
            self._tokenizer.no_truncation()
        at = [part.field for part in frontend.template].index("text")
        self._before = "".join(part.lit or "" for part in frontend.template[:at])
        self._after = "".join(part.lit or "" for part in frontend.template[at + 1 :])

    def encode(self, texts: Sequence[str]) -> Ragged:
        """Tokenise; each result is what the text alone would give."""
        whole = [self._before + text + self._after for text in texts] if self._before or self._after else list(texts)
        truncated = np.zeros(len(whole), dtype=np.bool_)
        rows: list[npt.NDArray[np.int64]] = []
        for i, encoding in enumerate(self._tokenizer.encode_batch_fast(whole)):
            ids = np.array(encoding.ids, dtype=np.int64)
            if self._smart:
                truncated[i] = len(ids) >= self._max and bool(encoding.overflowing)
            elif len(ids) > self._max:
                truncated[i], ids = True, ids[: self._max]
            rows.append(ids)
        return Ragged(rows, truncated)
