"""Which tokens of a text that is read whole belong to a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.errors import InputError

from .template import Template, Text
from .tokenizer import TextTokenizer
from .tokenizer_file import is_library_error, open_tokenizer

Span: TypeAlias = tuple[int, int]
"""Start and end of a part, in characters of the text."""


class TokenSpans:
    """Finds tokens by the characters that they stand for, in texts of one template that need not be cut; several threads may
    share it."""

    def __init__(self, template: Template, tokenizer_file: Path) -> None:
        self._template = template
        self._tokenizer: Any = open_tokenizer(tokenizer_file, template.frontend)
        self._pooled = None if template.frontend.pool_mask is None else TextTokenizer(template, tokenizer_file)

    def members(self, item: Text, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
        """(spans, tokens) whether a token of a checked item is pooled with a span of its text (of the field that a document's text
        fills): where it shares a character with it, and is not left out of the pooling.

        What stands before the text and behind it (special tokens, the template's) is pooled with the spans that begin or end with the
        text: so a span of all of it has every token.
        """
        content, fields, _ = self._template.spread(item)
        segment, begin, end = fields[list(self._template.fields).index(self._template.main)]
        encoding = self._encoded(content)
        offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        owners = np.array([-1 if owner is None else owner for owner in encoding.sequence_ids])
        # A token that stands for no character, such as the mark of a word's beginning, is one with the character behind it.
        firsts, lasts = offsets[:, 0], np.maximum(offsets[:, 1], offsets[:, 0] + 1)
        inside = np.flatnonzero((owners == segment) & (firsts < end) & (lasts > begin))
        places = np.arange(len(offsets))
        before, behind = (places < inside[0], places > inside[-1]) if len(inside) else (places >= 0, places >= 0)
        found = np.zeros((len(spans), len(offsets)), np.bool_)
        for row, (start, stop) in zip(found, spans, strict=True):
            own = inside[(firsts[inside] < begin + stop) & (lasts[inside] > begin + start)]
            row[own] = True
            if start <= 0:
                row |= before
            if stop >= end - begin:
                row |= behind
        if self._pooled is not None:
            found &= self._pooled.encode([item]).pool[0] == 1
        return found

    def _encoded(self, content: Any) -> Any:
        try:
            pair = content if isinstance(content, tuple) else (content, None)
            return self._tokenizer.encode(*pair)
        except BaseException as error:
            if not is_library_error(error):
                raise
            raise InputError(f"the tokenizer cannot encode {content!r:.80}: {error}") from error
