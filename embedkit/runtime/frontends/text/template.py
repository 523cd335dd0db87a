"""What a role of text takes: the fields of its template, and those that choose something instead of being read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Choice, TextFrontend
from embedkit.checks import check_text
from embedkit.errors import InputError

Text: TypeAlias = "str | Mapping[str, str]"
"""A text, or the named fields of a template that has several."""


class Template:
    """The items that one `Frontend` takes. ``choices`` are fields that are not text and that an item may have beside
    those of the template."""

    def __init__(self, frontend: TextFrontend, choices: Sequence[Choice] = ()) -> None:
        self.frontend, self.parts = frontend, frontend.template
        self.choices = [*choices, *([frontend.first_token] if frontend.first_token else [])]
        self.fields = {part.field: part.default for part in self.parts if part.field is not None}
        """The template's fields in order, each with the text that stands for it where it is not given, or None."""
        required = [name for name, default in self.fields.items() if default is None]
        self.main = "text" if "text" in self.fields else next(iter(self.fields))
        """The field that a document's text fills."""
        self.pair = any(part.pair for part in self.parts)
        self.single = required[0] if len(required) == 1 else None
        """The field that a lone string fills, if there is one."""
        if not required:
            self.single = "text" if "text" in self.fields else next(iter(self.fields))
        stripped = any(part.strip for part in self.parts)
        self.plain = len(self.fields) == 1 and not self.choices and not self.pair and not stripped
        """Whether an item is one text in one segment, and nothing else."""

    def is_item(self, value: object) -> bool:
        """A string, or a mapping of fields, is one item."""
        return isinstance(value, str | Mapping)

    def key(self, item: Text) -> Hashable:
        """The string, or the fields in any order."""
        return item if isinstance(item, str) else frozenset(item.items())

    def cost(self, item: Text) -> int:
        """Characters."""
        return len(item) if isinstance(item, str) else sum(map(len, item.values()))

    def portable(self, item: Text) -> Text:
        """The string, or a plain dictionary."""
        return item if isinstance(item, str) else dict(item)

    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Text:
        """The text or, where there are several fields, these from the metadata too."""
        names = [*self.fields, *(choice.field for choice in self.choices)]
        if len({*names}) == 1:
            return text
        others = (name for name in names if name != self.main and name in metadata)
        return {self.main: text, **{name: metadata[name] for name in others}}

    def check(self, item: object, where: str) -> Text:
        """``item`` if it can be encoded, a lone string as the fields it stands for; else `InputError`."""
        if self.plain and isinstance(item, str):
            return item if item.isascii() else check_text(item, where)
        if isinstance(item, str) and self.single is not None:
            item = {self.single: item}
        if not isinstance(item, Mapping):
            if isinstance(item, str):
                raise InputError(f"{where}: expected a mapping with {self._wanted()}, found a string")
            return check_text(item, where)
        chosen = {choice.field: choice for choice in self.choices}
        for name, value in item.items():
            if name in self.fields:
                check_text(value, f"{where}, field {name!r}")
            elif name in chosen:
                if value not in chosen[name].values:
                    raise InputError(
                        f"{where}, field {name!r}: expected one of {', '.join(chosen[name].values)}, found {value!r}"
                    )
            else:
                raise InputError(f"{where}: expected {self._wanted()}, found the field {name!r}")
        missing = [name for name, default in self.fields.items() if default is None and name not in item]
        missing += [name for name, choice in chosen.items() if choice.default is None and name not in item]
        if missing:
            raise InputError(f"{where}: the field {missing[0]!r} is missing; expected {self._wanted()}")
        return item

    def fill(self, text: str, number: int = 0) -> Text:
        """An item with ``text`` in every field that must be given; of each choice that must be made, value ``number``
        (counted round)."""
        missing = [choice for choice in self.choices if choice.default is None]
        if self.single is not None and not missing:
            return text
        item = {name: text for name, default in self.fields.items() if default is None}
        item.update({choice.field: list(choice.values)[number % len(choice.values)] for choice in missing})
        return item

    def choice(self, choice: Choice, items: Sequence[Text]) -> npt.NDArray[np.int64]:
        """(n,) int64: the number that ``choice`` gives each item."""
        default = choice.default or ""
        return np.array(
            [choice.values[default if isinstance(i, str) else i.get(choice.field, default)] for i in items], np.int64
        )

    def spread(self, item: Text) -> tuple[Any, list[tuple[int, int, int]], str]:
        """The input of the tokenizer (a string or a pair), (segment, start, end) of each field in it, and all that
        stands before the last field."""
        if isinstance(item, str):
            item = {self.single or "text": item}
        segments, spans, prefix = [""], [], ""
        for part in self.parts:
            if part.pair:
                segments.append("")
            elif part.field is None:
                segments[-1] += part.lit or ""
            else:
                value = item.get(part.field, part.default) or ""
                value = value.strip() if part.strip else value
                prefix = "".join(segments)
                spans.append((len(segments) - 1, len(segments[-1]), len(segments[-1]) + len(value)))
                segments[-1] += value
        return (segments[0] if len(segments) == 1 else tuple(segments)), spans, prefix

    def _wanted(self) -> str:
        names = [f"{name!r}" + ("" if default is None else " (optional)") for name, default in self.fields.items()]
        names += [
            f"{c.field!r}" + ("" if c.default is None else " (optional)")
            for c in {choice.field: choice for choice in self.choices}.values()
        ]
        return f"the field{'s' if len(names) > 1 else ''} {', '.join(names)}"
