"""How many tokens a model makes of a text, and where they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..encoding import TextEncoder
from ..errors import InputError
from ..template import Template


class TokenCounter:
    """Counts with the tokenizer and the template of one role of an encoder's bundle, and cuts nothing off."""

    def __init__(self, encoder: TextEncoder, role: str) -> None:
        from tokenizers import Tokenizer

        names = encoder.fields(role)
        self._main = "text" if "text" in names else next(iter(names))
        self._others = [name for name in names if name != self._main]
        frontend = encoder.bundle.tower(role).frontend
        self._template = Template(
            frontend, [entry.choice for entry in encoder.bundle.tower(role).inputs if entry.choice]
        )
        self._tokenizer: Any = Tokenizer.from_file(str(encoder.bundle.path(frontend.tokenizer)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = frontend.truncate.max
        """Tokens that the model reads, special ones and those of the template included."""
        self.own = self._count({**dict.fromkeys(self._template.fields, ""), self._main: ""})
        """Tokens of an empty text: special ones and the template's."""

    def whole(self, text: str, metadata: Mapping[str, Any]) -> int:
        """Tokens of what is encoded for a document of this text and metadata.

        Raises `InputError` where that cannot be encoded.
        """
        if not self._others:
            return self._count({self._main: text})
        item = {self._main: text, **{name: metadata[name] for name in self._others if name in metadata}}
        self._template.check(item, "template")
        return self._count(item)

    def ends(self, text: str) -> list[int]:
        """The character at which each token of a text by itself ends, special tokens left out."""
        return [end for _, end in self._encoded(text, special=False).offsets]

    def _count(self, item: Mapping[str, str]) -> int:
        return len(self._encoded(self._template.spread(item)[0], special=True).ids)

    def _encoded(self, content: Any, *, special: bool) -> Any:
        try:
            pair = content if isinstance(content, tuple) else (content, None)
            return self._tokenizer.encode(*pair, add_special_tokens=special)
        except Exception as error:  # the library raises nothing more special
            raise InputError(f"the tokenizer cannot encode {content!r:.80}: {error}") from error
