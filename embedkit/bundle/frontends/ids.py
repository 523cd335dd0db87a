"""What a manifest says of a role that reads sequences of ids."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .base import Id, Model, Positive


class IdsFrontend(Model, frozen=True, tag_field="kind", tag="ids"):
    """Sequences of integers from 0 up to ``size``, such as the items that a user bought: ``max`` are read of one, the
    ``keep`` ones, and ``pad_id``, which no sequence holds, fills a batch up on the side ``pad``, to ``length`` where there
    is one."""

    size: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    max: Positive
    keep: Literal["first", "last"] = "last"
    pad: Literal["left", "right"] = "right"
    pad_id: Id = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=9_999_999)] | None = None

    def __post_init__(self) -> None:
        if self.pad_id >= self.size:
            raise ValueError("expected a `pad_id` below `size`")
        if self.length is not None and self.length < self.max:
            raise ValueError("expected a `length` of at least `max`")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "ids"

    @property
    def files(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def longest(self) -> int:
        """Ids of a sequence that are read."""
        return self.max

    @property
    def fixed(self) -> int | None:
        """The number of ids that every sequence is padded to, if there is one."""
        return self.length

    @property
    def least(self) -> int:
        """The number of ids that every sequence is padded to where it has fewer; 0 without one."""
        return self.length or 0
