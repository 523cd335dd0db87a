"""Items of several parts as a modality: mappings such as a picture with a text, each part read as its own frontend does."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import ComposedFrontend, FeaturesFrontend, Input, part_key
from embedkit.errors import BundleError, InputError

from .base import Batch, Item, Modality, Preparer, Renderer, Rows, Unencodable, Widths
from .batching import plan
from .features import FeaturesBatch
from .image.boxes import moved_boxes
from .media import Undecodable
from .registry import modality_of

_ONE_BATCH = 1 << 40
"""Slots of a budget by which all items that are given are prepared together."""


class ComposedModality(Modality):
    """Mappings of parts, as one `ComposedFrontend` reads them, and of fields that choose something (see `Input.choice`)."""

    kind = ComposedFrontend
    sources = frozenset()
    noun = "item"

    def __init__(self, frontend: ComposedFrontend, inputs: Sequence[Input]) -> None:
        unknown = next((entry for entry in inputs if entry.part not in {None, *frontend.parts}), None)
        if unknown is not None:
            raise BundleError(
                f"inputs.{unknown.name}.part: expected one of {', '.join(frontend.parts)}, found {unknown.part!r}; export the bundle again"
            )
        super().__init__(frontend, [entry for entry in inputs if entry.part is None])
        self.inputs = list(inputs)
        self.parts: dict[str, Modality] = {
            name: modality_of(part, [entry for entry in inputs if entry.part == name])
            for name, part in frontend.parts.items()
        }
        """What reads each part."""
        self.choices = [entry.choice for entry in inputs if entry.part is None and entry.choice is not None]
        if taken := {choice.field for choice in self.choices} & self.parts.keys():
            raise BundleError(f"inputs: expected a field that chooses to be no part, found {min(taken)!r}")
        self.fields = dict.fromkeys(self.parts)

    def is_item(self, value: object) -> bool:
        """A mapping, or a string, which `check` refuses unless it is one in JSON."""
        return isinstance(value, Mapping | str)

    def claims(self, value: object) -> bool:
        """A mapping with a part of this role."""
        return isinstance(value, Mapping) and not self.parts.keys().isdisjoint(value)

    def check(self, value: object, where: str) -> dict[str, Item]:
        """Each part as its own frontend takes it, and the fields that choose."""
        if isinstance(value, str):
            value = self.fill(value)
        if not isinstance(value, Mapping):
            raise InputError(
                f"{where}: expected a mapping with {self._wanted()}, found {type(value).__name__} {value!r:.60}"
            )
        chosen = {choice.field: choice for choice in self.choices}
        unknown = [name for name in value if name not in self.parts and name not in chosen]
        if unknown:
            raise InputError(f"{where}: expected {self._wanted()}, found the part {unknown[0]!r}")
        missing = [name for name in self.parts if value.get(name) is None]
        missing += [name for name, choice in chosen.items() if choice.default is None and value.get(name) is None]
        if missing:
            raise InputError(f"{where}: the part {missing[0]!r} is missing; expected {self._wanted()}")
        made = {name: part.check(value[name], f"{where}, part {name!r}") for name, part in self.parts.items()}
        for name, choice in chosen.items():
            found = value.get(name, choice.default)
            if not isinstance(found, str) or found not in choice.values:
                known = ", ".join(list(choice.values)[:20])
                raise InputError(f"{where}, part {name!r}: expected one of {known}, found {found!r:.80}")
            made[name] = found
        return made

    def key(self, item: Item) -> Hashable:
        """The keys of all parts."""
        own = tuple((name, part.key(item[name])) for name, part in self.parts.items())
        return own, tuple(item[choice.field] for choice in self.choices)

    def cost(self, item: Item) -> int:
        """That of all parts."""
        return sum(part.cost(item[name]) for name, part in self.parts.items())

    def portable(self, item: Item) -> Item:
        """A plain dictionary of portable parts."""
        return {name: self.parts[name].portable(one) if name in self.parts else one for name, one in item.items()}

    def fill(self, text: str, number: int = 0) -> Any:
        """The item that a text is in JSON, each of its strings what it stands for in its part (the path of a picture); anything
        else is left for `check` to refuse."""
        try:
            value = json.loads(text)
        except ValueError:
            return [text]
        return self.of_values(value) if isinstance(value, dict) else value

    def of_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """An item of plain values, such as those of a JSON object or of a table's row: strings are what they stand for in their
        part."""
        return {
            name: self.parts[name].fill(value) if name in self.parts and isinstance(value, str) else value
            for name, value in values.items()
        }

    def of_row(self, text: str, metadata: Mapping[str, Any]) -> Any:
        """The parts and choices that the metadata name; a part that they do not is made of the row's text or, of a picture, of its
        ``uri``."""
        names = [*self.parts, *(choice.field for choice in self.choices)]
        found = self.of_values({name: metadata[name] for name in names if metadata.get(name) is not None})
        rest = {name: part.of_row(text, metadata) for name, part in self.parts.items() if name not in found}
        return found | rest

    def reads_text(self, metadata: Mapping[str, Any]) -> bool:
        """Where a part does that the metadata do not name."""
        return any(part.reads_text(metadata) for name, part in self.parts.items() if metadata.get(name) is None)

    def of_picture(self, picture: Path, text: str) -> Item:
        """Its only picture and its only text, by their parts."""
        kinds = {name: part.frontend.kind for name, part in self.parts.items()}
        if sorted(kinds.values()) != ["image", "text"] or any(choice.default is None for choice in self.choices):
            raise InputError(
                f"this role reads {self._wanted()}, and not one picture with one text; give a line of JSON with them to --input"
            )
        return {name: picture if kind == "image" else text for name, kind in kinds.items()}

    def render_with(self, renderer: Renderer) -> bool:
        """That of any part."""
        return sum(part.render_with(renderer) for part in self.parts.values()) > 0

    def prepared(self, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
        """What each part is prepared to; of parts that texts stand for (see `Modality.prepared`) these. Fields that choose stand
        under their own names."""
        whole: dict[str, npt.NDArray[Any]] = {}
        for name, part in self.parts.items():
            given = [self.followed(name, item, i) for i, item in enumerate(items)]
            whole |= {part_key(name, source): array for source, array in part.prepared(given).items()}
        return whole | {choice.field: np.array([item[choice.field] for item in items]) for choice in self.choices}

    def restored(self, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Item]:
        """The inverse of `prepared`."""
        columns: dict[str, list[Any]] = {}
        for name, part in self.parts.items():
            begin = part_key(name, "")
            own = {source.removeprefix(begin): array for source, array in arrays.items() if source.startswith(begin)}
            if not own:
                raise InputError(f"expected the part {name!r}, found {', '.join(arrays)}")
            columns[name] = part.restored(own)
        for choice in self.choices:
            if choice.field not in arrays:
                raise InputError(f"expected the part {choice.field!r}, found {', '.join(arrays)}")
            columns[choice.field] = [str(value) for value in arrays[choice.field]]
        sizes = {len(column) for column in columns.values()}
        if len(sizes) > 1:
            raise InputError(f"expected as many of each part, found {', '.join(map(str, sorted(sizes)))}")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def of_file(self, data: bytes) -> Item:
        """The item of a JSON object: of its ``files`` (in base64) the pictures, of its ``values`` the other parts."""
        try:
            found = json.loads(data)
            pictures = {name: part for name, part in self.parts.items() if part.frontend.kind == "image"}
            files = {name: pictures[name].of_file(b64decode(file)) for name, file in found["files"].items()}
            return files | dict(found["values"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"expected an item of the parts {', '.join(self.parts)} as JSON ({error})") from error

    def open(self, path: Callable[[str], Path]) -> Preparer:
        """What makes batches, with what each part needs."""
        return ComposedPreparer(self, {name: part.open(path) for name, part in self.parts.items()})

    def followed(self, name: str, item: Item, number: int) -> Item:
        """A part of an item, boxes moved as their picture is; raises `Unencodable` with the item's ``number``."""
        frontend = self.parts[name].frontend
        picture = frontend.boxes if isinstance(frontend, FeaturesFrontend) else None
        if picture is None:
            return item[name]
        try:
            return moved_boxes(self.parts[picture].frontend, item[picture], item[name])
        except Undecodable as error:
            raise Unencodable(number, f"part {name!r}: {error}") from error

    def _wanted(self) -> str:
        names = [repr(name) for name in self.parts]
        names += [f"{choice.field!r}" + (" (optional)" if choice.default else "") for choice in self.choices]
        return f"the part{'s' if len(names) > 1 else ''} {', '.join(names)}"


class ComposedPreparer:
    """Makes batches of composed items; several threads may share it. ``parts`` are the preparers of the parts."""

    def __init__(self, modality: ComposedModality, parts: Mapping[str, Preparer]) -> None:
        self.modality, self.parts = modality, dict(parts)

    def batches(self, items: Sequence[Item], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` slots that hold each item once; raises `Unencodable`. Pictures are prepared when a batch's
        tensors are asked for."""
        slots = np.array([self._slots(item) for item in items], dtype=np.int64)
        return [self._batch([items[i] for i in rows], rows, widths) for rows in plan(slots, budget)]

    def _slots(self, item: Item) -> int:
        """About as many slots as an item takes: of a text no more than its characters."""
        return sum(
            min(part.frontend.longest, part.cost(item[name]))
            if part.frontend.kind in _OF_ANY_LENGTH
            else part.frontend.longest
            for name, part in self.modality.parts.items()
        )

    def _batch(self, items: list[Item], rows: Rows, widths: Widths) -> Batch:
        parts = {}
        for name, preparer in self.parts.items():
            try:
                found = preparer.batches([item[name] for item in items], _ONE_BATCH, widths)
            except Unencodable as error:
                raise Unencodable(int(rows[error.number]), f"part {name!r}: {error.reason}") from error
            if len(found) != 1:
                kind = self.modality.parts[name].frontend.kind
                raise BundleError(
                    f"part {name!r}: the package that reads {kind!r} cannot prepare items together with others"
                )
            parts[name] = found[0]
        return ComposedBatch(self.modality, items, rows, parts)


_OF_ANY_LENGTH = ("text", "ids")


@dataclass(slots=True)
class ComposedBatch(Batch):
    """Items with a batch of each of their parts, whose rows are in an order of their own."""

    modality: ComposedModality
    items: list[Item]
    rows: Rows
    parts: dict[str, Batch]
    truncated: npt.NDArray[np.bool_] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.truncated = np.zeros(len(self.items), dtype=np.bool_)
        for batch in self.parts.values():
            self.truncated[batch.rows] |= batch.truncated
        self.tokens = sum(batch.tokens for batch in self.parts.values())

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(rows,) the tokens of all parts of each item."""
        whole = np.zeros(len(self.items), dtype=np.int64)
        for batch in self.parts.values():
            whole[batch.rows] += batch.counts
        return whole

    def tensors(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """Those of each part under the names of `part_key`. Raises `Unencodable` with a row of the batch."""
        whole: dict[str, npt.NDArray[Any]] = {}
        for name, batch in self.parts.items():
            if isinstance(batch, FeaturesBatch) and batch.frontend.boxes is not None:
                moved = [self.modality.followed(name, self.items[i], int(i)) for i in batch.rows]
                batch = replace(batch, items=moved)
            try:
                found = batch.tensors(count)
            except Unencodable as error:
                raise Unencodable(int(batch.rows[error.number]), f"part {name!r}: {error.reason}") from error
            order = np.concatenate([np.argsort(batch.rows), np.arange(len(batch.rows), count)])
            whole |= {part_key(name, source): array[order] for source, array in found.items()}
        return whole

    def choice(self, entry: Input, count: int) -> npt.NDArray[np.int64]:
        """(count,) the number that a field of the items, or one of a part, chooses."""
        if entry.part is not None:
            batch = self.parts[entry.part]
            own = batch.choice(entry, len(self.items))
            return np.resize(own[np.argsort(batch.rows)], count)
        assert entry.choice is not None
        return np.resize(
            np.array([entry.choice.values[item[entry.choice.field]] for item in self.items], np.int64), count
        )
