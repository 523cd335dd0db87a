"""How many tokens a model makes of a text, and where they end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedkit.errors import InputError

from .template import Template, Text
from .tokenizer_file import is_library_error, open_tokenizer


class TokenCounter:
    """Counts with a tokenizer and the template of one role, and cuts nothing off."""

    def __init__(self, template: Template, tokenizer_file: Path) -> None:
        self._template = template
        self._tokenizer: Any = open_tokenizer(tokenizer_file, template.frontend)
        self.max_tokens = template.frontend.longest
        """Tokens that the model reads, special ones and those of the template included."""
        empty = template.of_row("", dict.fromkeys(template.fields, ""))
        self.own = self._count(empty)
        """Tokens of an empty text: special ones and the template's."""

    def whole(self, text: str, metadata: Mapping[str, Any]) -> int:
        """Tokens of what is encoded for a document of this text and metadata.

        Raises `InputError` where that cannot be encoded.
        """
        return self._count(self._template.check(self._template.of_row(text, metadata), "template"))

    def ids(self, text: str) -> list[int]:
        """The ids of all tokens of what is encoded for a text."""
        item = self._template.check(text, "text")
        found: list[int] = self._encoded(self._template.spread(item)[0], special=True).ids
        return found

    def ends(self, text: str) -> list[int]:
        """The character at which each token of a text by itself ends, special tokens left out."""
        return [end for _, end in self._encoded(text, special=False).offsets]

    def _count(self, item: Text) -> int:
        return len(self._encoded(self._template.spread(item)[0], special=True).ids)

    def _encoded(self, content: Any, *, special: bool) -> Any:
        try:
            pair = content if isinstance(content, tuple) else (content, None)
            return self._tokenizer.encode(*pair, add_special_tokens=special)
        except BaseException as error:
            if not is_library_error(error):
                raise
            raise InputError(f"the tokenizer cannot encode {content!r:.80}: {error}") from error
