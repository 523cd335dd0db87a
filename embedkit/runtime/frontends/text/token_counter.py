"""How many tokens a model makes of a text, and where they end: the tokenizer alone is read, no weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, overload

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import TextFrontend
from embedkit.checks import items_of
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

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, role: str = "default") -> Self:
        """That of a role of the bundle in the folder ``path``. Raises `BundleError` for what is no bundle, and `InputError` for a
        role that is not there or reads no texts."""
        bundle = Bundle.open(path)
        if role not in bundle.manifest.towers:
            raise InputError(f"role: this bundle has {', '.join(bundle.manifest.towers)}, found {role!r:.80}")
        tower = bundle.tower(role)
        if not isinstance(tower.frontend, TextFrontend):
            raise InputError(
                f"role: {role!r} reads {tower.frontend.kind}, which has no tokens; name one that reads texts"
            )
        template = Template(tower.frontend, [entry.choice for entry in tower.inputs if entry.choice])
        return cls(template, bundle.path(tower.frontend.tokenizer))

    @overload
    def count(self, texts: str | Mapping[str, str]) -> int: ...
    @overload
    def count(self, texts: Iterable[Text]) -> list[int]: ...
    def count(self, texts: Any) -> Any:
        """The tokens of each text (a string, or a mapping of fields) as the model gets it, special ones and those of the template
        included, and nothing cut off; of one text its number. More than ``max_tokens`` are not read."""
        if self._template.is_item(texts):
            return self._count(self._template.check(texts, "text"))
        return [
            self._count(self._template.check(text, f"text {i}"))
            for i, text in enumerate(items_of("texts", texts, "text", ordered=True))
        ]

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


@overload
def count_tokens(bundle: str | os.PathLike[str], texts: str | Mapping[str, str], *, role: str = ...) -> int: ...
@overload
def count_tokens(bundle: str | os.PathLike[str], texts: Iterable[Text], *, role: str = ...) -> list[int]: ...
def count_tokens(bundle: str | os.PathLike[str], texts: Any, *, role: str = "default") -> Any:
    """`TokenCounter.count` of a bundle's role, for once; for many calls keep a `TokenCounter`."""
    return TokenCounter.load(bundle, role=role).count(texts)
