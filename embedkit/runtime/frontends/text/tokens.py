"""The tokens of texts, shown; and the text of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from embedkit.bundle.folder import Bundle
from embedkit.bundle.manifest import TextFrontend
from embedkit.checks import check_text
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Unencodable

from .modality import TextModality
from .template import Text
from .tokenizer_file import is_library_error, open_tokenizer


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token: its ``id``, its ``text``, whether it is ``special``, and from which character of the text on and up to which it
    stands for (None for special ones)."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class KeptTokens:
    """The tokens of a role's items that the pooling takes: those for which a multi-vector has a vector each, in order. Raises `InputError`
    for a role that reads no texts, and `BundleError` where the tokenizer is not there."""

    def __init__(self, bundle: Bundle, role: str) -> None:
        tower = bundle.tower(role)
        if not isinstance(tower.frontend, TextFrontend):
            raise InputError(f"the role {role!r} reads {tower.frontend.kind}, and no texts; name another")
        self._preparer = TextModality(tower.frontend, tower.inputs).open(bundle.path)
        self._tokenizer = open_tokenizer(bundle.path(tower.frontend.tokenizer), tower.frontend)
        self.size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        """Tokens of the vocabulary."""

    def of(self, item: Text) -> list[str]:
        """Those of a checked item, shown; `InputError` where none is left."""
        try:
            (batch,) = self._preparer.batches([item], 1, None)
        except Unencodable as error:
            raise InputError(error.reason) from error
        tensors = batch.tensors(1)
        return [self.shown(number) for number in tensors["ids"][0][tensors["pool_mask"][0] != 0].tolist()]

    def shown(self, number: int) -> str:
        """A token as it is read, without the space before it; its number, as ``#7``, where the tokenizer has none of it."""
        token = self._tokenizer.id_to_token(number)
        text: str = "" if token is None else self._tokenizer.decode([number], skip_special_tokens=False).strip()
        return text or token or f"#{number}"


class TokenReader:
    """What a bundle's tokenizer makes of plain texts, without a template and without cutting; several threads may share it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def of(cls, bundle: Bundle, role: str) -> Self:
        """The tokenizer of a role that reads texts."""
        frontend = bundle.tower(role).frontend
        if not isinstance(frontend, TextFrontend):
            raise InputError(f"the role {role!r} reads {frontend.kind}, and no texts; name another")
        return cls(open_tokenizer(bundle.path(frontend.tokenizer), frontend))

    def tokens(self, text: str, *, special: bool = True) -> list[ShownToken]:
        """The tokens of a text, with the special ones unless these are not wanted."""
        check_text(text)
        try:
            found = self._tokenizer.encode(text, add_special_tokens=special)
        except BaseException as error:
            if not is_library_error(error):
                raise
            raise InputError(f"the tokenizer cannot encode {text!r:.80}: {error}") from error
        rows = zip(found.ids, found.tokens, found.special_tokens_mask, found.offsets, strict=True)
        return [
            ShownToken(
                id, token if mask else text[start:stop], bool(mask), None if mask else start, None if mask else stop
            )
            for id, token, mask, (start, stop) in rows
        ]

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """The text of token ids, without special ones unless these are wanted; `InputError` for an id that is none."""
        for id in ids:
            if (
                isinstance(id, bool)
                or not isinstance(id, int)
                or not 0 <= id < 1 << 32
                or self._tokenizer.id_to_token(id) is None
            ):
                raise InputError(f"ids: expected ids of the model's tokenizer, found {id!r:.40}")
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=not special))
