"""What a manifest says of a role that reads texts."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .base import Choice, FileName, Id, Model, Name, Positive


class Part(Model, frozen=True):
    """One part of a template: exactly one of a literal, the name of an input field (with the text that stands for it
    where it is not given, and whether the white space around it is taken off), and the border between a pair of
    segments."""

    lit: str | None = None
    field: Name | None = None
    default: str | None = None
    pair: Literal[True] | None = None
    strip: bool = False

    def __post_init__(self) -> None:
        if sum(x is not None for x in (self.lit, self.field, self.pair)) != 1:
            raise ValueError("expected exactly one of `lit`, `field` and `pair`")
        if self.default is not None and self.field is None:
            raise ValueError("expected `default` beside a `field` only")
        if self.strip and self.field is None:
            raise ValueError("expected `strip` beside a `field` only")


class Truncate(Model, frozen=True):
    """How a text that is too long is cut: to ``max`` tokens, special ones included.

    ``smart`` keeps the closing special tokens, ``slice`` cuts whatever stands at the end. A smart cut of ``content``
    takes tokens from the end of the last field, then of the one before, and leaves literals whole; of ``body`` it takes
    them from the end of what stands before the closing literal, other literals too; of ``all`` from the end of the text
    (of a pair: from the longer segment).
    """

    max: Positive
    mode: Literal["smart", "slice"] = "smart"
    applies_to: Literal["all", "content", "body"] = "all"

    def __post_init__(self) -> None:
        if self.mode == "slice" and self.applies_to != "all":
            raise ValueError("expected `applies_to` all beside the mode slice")


class PoolMask(Model, frozen=True):
    """Tokens that the backbone reads and that are left out of what is made of them: ``first`` (or ``first:N``) tokens,
    ``special`` (all that the tokenizer adds), ``prefix`` (as many leading tokens as all that stands before the last field
    has by itself, opening special tokens included), ``template`` (all that are no part of a field), and all whose id is
    among ``ids``."""

    drop: list[Annotated[str, msgspec.Meta(pattern=r"^(first(:[1-9][0-9]{0,8})?|special|prefix|template)\Z")]] = []
    ids: list[Id] = []

    def __post_init__(self) -> None:
        if not self.drop and not self.ids:
            raise ValueError("expected something in `drop` or `ids`")


class TextFrontend(Model, frozen=True, tag_field="kind", tag="text"):
    """From a text, or from named fields, to token ids."""

    tokenizer: FileName
    template: list[Part]
    truncate: Truncate
    pad: Annotated[str, msgspec.Meta(pattern=r"^(longest|(fixed|least):[1-9][0-9]{0,6})\Z")] = "longest"
    pad_id: Id = 0
    padding: Literal["ignored", "kept", "read"] = "ignored"
    """Whether padding to a fixed or least length is part of the text: ``kept`` tokens give vectors, of which the others see
    nothing; ``read`` ones are tokens like all others (the query expansion of ColBERT, Khattab and Zaharia 2020)."""
    pool_mask: PoolMask | None = None
    first_token: Choice | None = None
    """Token ids that take the place of the first token."""
    vocabulary: Positive | None = None
    """Rows of the model's table of tokens, where the tokenizer gives ids beyond it: a text with such a token has no
    vector."""

    def __post_init__(self) -> None:
        names = [part.field for part in self.template if part.field is not None]
        if not names or len(set(names)) != len(names):
            raise ValueError("expected a template with at least one field, each once")
        if sum(part.pair is not None for part in self.template) > 1:
            raise ValueError("expected a template of at most two segments")
        if self.truncate.applies_to == "body" and any(part.pair for part in self.template):
            raise ValueError("expected a template of one segment where its `body` is cut")
        if self.fixed is not None and self.fixed < self.truncate.max:
            raise ValueError("expected a fixed length of at least truncate.max")
        if self.padding != "ignored" and not self.least:
            raise ValueError("expected a fixed or least length where padding is kept or read")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "text"

    @property
    def files(self) -> tuple[str, ...]:
        """The tokenizer's."""
        return (self.tokenizer,)

    @property
    def longest(self) -> int:
        """Tokens of a text that are read, special ones included."""
        return self.truncate.max

    @property
    def fixed(self) -> int | None:
        """The number of tokens that every text is padded to, if there is one."""
        return self.least if self.pad.startswith("fixed") else None

    @property
    def least(self) -> int:
        """The number of tokens that every text is padded to where it has fewer; 0 without one."""
        return int(self.pad.partition(":")[2] or 0)
