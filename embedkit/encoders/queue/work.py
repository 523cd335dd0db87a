"""A group of slices through an encoder, on a worker's thread."""

from __future__ import annotations

from typing import Protocol

from embedkit.errors import EmbedkitError, InputError
from embedkit.runtime.frontends.base import Item, Modality
from embedkit.runtime.options import EncodeOptions
from embedkit.runtime.outputs import Answer
from embedkit.runtime.streaming import OnBad
from embedkit.vectors.values import scatter

from .slices import Request, Slice


class Counts(Protocol):
    """An encoder, as far as a group needs one."""

    def encode_counted(self, items: list[Item], options: EncodeOptions, *, on_bad: OnBad | None = None) -> Answer:
        """The values of several items."""
        ...

    def modality(self, role: str = ...) -> Modality:
        """What a role's items are."""
        ...


def encode_group(encoder: Counts, group: list[Slice]) -> list[Answer | Exception]:
    """What is made of each slice, or its error. An item that cannot be encoded is its own slice's error alone; where all are
    refused together, the group is halved until that one is alone."""
    options = group[0].request.options
    bad: dict[int, str] = {}
    try:
        answer = encoder.encode_counted([item for one in group for item in one.items], options, on_bad=bad.__setitem__)
    except Exception as error:
        if len(group) == 1 or not isinstance(error, EmbedkitError):
            return [error] * len(group)
        middle = len(group) // 2
        return encode_group(encoder, group[:middle]) + encode_group(encoder, group[middle:])
    noun = encoder.modality(options.role).noun
    found: list[Answer | Exception] = []
    first = row = 0
    for one in group:
        refused = {int(one.places[i - first]): why for i, why in bad.items() if first <= i < first + len(one.places)}
        rows = slice(row, row + len(one.places) - len(refused))
        first, row = first + len(one.places), rows.stop
        if refused:
            place = min(refused)
            found.append(InputError(f"{noun} {place}: {refused[place]}"))
        else:
            found.append(Answer(answer.values[rows], answer.tokens[rows], answer.truncated[rows]))
    return found


def gathered(request: Request, now: float) -> Answer:
    """The answer to a request of which all parts are made, with its items in their order."""
    count = len(request.items)
    begun = request.begun or now
    times = begun - request.arrived, now - begun
    if len(request.parts) == 1:
        only = request.parts[0][1]
        return Answer(only.values, only.tokens, only.truncated, *times)
    return Answer(
        scatter([(places, part.values) for places, part in request.parts], count),
        scatter([(places, part.tokens) for places, part in request.parts], count),  # type: ignore[arg-type]
        scatter([(places, part.truncated) for places, part in request.parts], count),  # type: ignore[arg-type]
        *times,
    )
