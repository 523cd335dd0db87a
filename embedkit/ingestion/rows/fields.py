"""Which fields of a row are its id, its text and its metadata."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

from embedkit.checks import items_of, one_of
from embedkit.errors import InputError
from embedkit.records.metadata import Metadata
from embedkit.system.files.jsonlines import kind_of
from embedkit.system.files.lines import NotText

from .casts import check_types, typed
from .cells import as_id, as_text
from .media import MediaFields

IdFrom: TypeAlias = Literal["text", "path", "row"]

_MISSING = object()
_IN_BRACES = re.compile(r"\{([^{}]+)\}")


class NoDocument(Exception):
    """A row that is no document; ``id`` is its id where that is known."""

    def __init__(self, reason: str, row_id: str | None = None) -> None:
        self.reason, self.id = reason, row_id
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Fields:
    """A field is named by its key, or by a path into nested objects and lists: ``author.name``, ``parts.0.body``.

    ``text`` is one field; several, which are joined by an empty line; or a template such as ``{title}: {body}``. Of
    several, those that a row lacks are left out (empty in a template), as long as one is there. ``metadata`` names the
    fields to keep, each under the name given; None keeps all but id and text.

    ``id_from`` is for rows without an id: ``text`` is a hash of the text, ``path`` the file's path and the row's line,
    ``row`` the line alone. None makes them bad rows.

    ``types`` maps fields of metadata to ``int``, ``float``, ``bool``, ``date`` or ``json`` (see `typed`), for text that stands
    for such a value, as all cells of CSV do.

    Where ``media`` names a field of files, a row without an id has the file's name as its id, and one without a text none.
    ``textless`` is for models that read no text, or not only: a row may lack it.
    """

    id: str = "id"
    text: str | Sequence[str] = "text"
    metadata: Sequence[str] | None = None
    id_from: IdFrom | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    media: MediaFields = field(default_factory=MediaFields)
    textless: bool = False

    def __post_init__(self) -> None:
        texts = (
            [self.text]
            if isinstance(self.text, str)
            else list(items_of("text_field", self.text, "name", ordered=False))
        )
        if not texts or not all(isinstance(name, str) and name for name in [self.id, *texts]):
            raise InputError(f"id_field and text_field: expected names, found {self.id!r} and {self.text!r}")
        if len(texts) > 1 and any(map(_is_template, texts)):
            raise InputError("text_field: give one template such as '{title}: {body}', or several plain names")
        if self.metadata is not None and not all(
            isinstance(name, str) for name in items_of("metadata_fields", self.metadata, "name", ordered=False)
        ):
            raise InputError(f"metadata_fields: expected a list of names, found {self.metadata!r:.80}")
        if self.id_from is not None:
            one_of("id_from", self.id_from, get_args(IdFrom))
        check_types(self.types)

    @property
    def texts(self) -> list[str]:
        """The fields that the text is made of."""
        if isinstance(self.text, str):
            return _IN_BRACES.findall(self.text) if _is_template(self.text) else [self.text]
        return list(self.text)

    def check_columns(self, columns: Iterable[str], where: str) -> None:
        """Raise `InputError` where a table lacks a column that is asked for, or has two of one name; of several columns
        of text one will do."""
        names = list(columns)
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InputError(f"{where}: the column {doubled[0]!r} is there twice; rename one of them")

        def there(name: str) -> bool:
            return name in names or name.partition(".")[0] in names

        texts = self.texts
        if not isinstance(self.text, str) and any(map(there, texts)):
            texts = []
        pictured = [self.media.image] if self.media.image is not None else []
        if (pictured or self.textless) and texts == ["text"]:
            texts = []
        given_id = [] if self.id_from or (pictured and self.id == "id") else [self.id]
        wanted = [*pictured, *given_id, *texts, *(self.metadata or ())]
        missing = [name for name in wanted if not there(name)]
        if missing:
            hint = (
                self._hint(missing[0], names)
                or _delimiter_hint(missing[0], names)
                or "name the right one with --id-field or --text-field"
            )
            if missing[0] == self.id:
                hint += ", or make ids with --id-from text, path or row"
            raise InputError(f"{where}: no column {missing[0]!r} among {', '.join(map(repr, names))}; {hint}")

    def document(self, row: Mapping[str, Any], *, path: str, line: int) -> tuple[str, str, Metadata]:
        """Id, text and metadata of a row; raises `NoDocument` where it has no id or no text."""
        row_id = self._given_id(row)
        text = self._text(row, row_id)
        if row_id is None:
            made = self.media.image is not None and not self.id_from
            row_id = self.named(row, None) if made else self.made_id(text, path=path, line=line)
        return row_id, text, self._typed(self._metadata(row), row_id)

    def named(self, row: Mapping[str, Any], row_id: str | None) -> str:
        """The name of a row's file; raises `NoDocument` where there is none."""
        name = self.media.image or ""
        found = _converted(as_text, row, name, row_id)
        if isinstance(found, str) and found.strip() and "\0" not in found:
            return found.strip()
        what = "missing or null" if found is _MISSING or found is None else kind_of(found)
        raise NoDocument(f"the field {name!r} is {what}, expected the name of a file", row_id)

    def _hint(self, wanted: str, names: Iterable[str]) -> str:
        """What to give where a name is not there, and one with other capitals is."""
        given = [name for name in names if isinstance(name, str)]
        option = "--text-field" if wanted in self.texts else "--metadata-fields"
        if wanted in (self.id, self.media.image):
            option = "--id-field" if wanted == self.id else "--image-field"
        for name in given:
            if name != wanted and name.strip().casefold() == wanted.casefold():
                return f"there is {name!r}: give {option} {name!r}"
        return ""

    def readable(self, row: Metadata) -> Metadata:
        """The row with text where its id or text is bytes, and with a whole number where its id is a decimal; raises
        `NoDocument` for bytes that are no UTF-8, and for an id that is a duration."""
        row_id = _converted(as_id, row, self.id, None)
        if isinstance(row_id, timedelta):
            raise NoDocument(f"the field {self.id!r} is {kind_of(row_id)}, expected text")
        if isinstance(row_id, str):
            row = _with(row, self.id, row_id)
        for name in self.texts:
            if isinstance(_lookup(row, name), bytes):
                row = _with(row, name, _converted(as_text, row, name, row_id if isinstance(row_id, str) else None))
        return row

    def id_of(self, row: Mapping[str, Any]) -> str | None:
        """The id that a row has itself, whatever else it lacks."""
        with suppress(NoDocument):
            return self._given_id(row)
        return None

    def reads(self, column: str) -> bool:
        """Whether a column of a table is part of its documents."""
        names = [self.id, *self.texts, *(self.metadata or ()), *([self.media.image] if self.media.image else [])]
        return self.metadata is None or column in names or column in {name.partition(".")[0] for name in names}

    def made_id(self, text: str, *, path: str, line: int) -> str:
        """The id of a row that has none."""
        if self.id_from == "text":
            return text_id(text)
        return str(line) if self.id_from == "row" else f"{path}:{line}"

    def kept(self, metadata: Metadata) -> Metadata:
        """Of the metadata of a whole file those fields that are to be kept."""
        return metadata if self.metadata is None else self._chosen(metadata)

    def _given_id(self, row: Mapping[str, Any]) -> str | None:
        found = _converted(as_id, row, self.id, None)
        makes = self.id_from or self.media.image is not None
        if isinstance(found, str) and (found or not makes):
            return found
        if found is _MISSING or found is None or (isinstance(found, str) and not found):
            if makes:
                return None
            hint = self._hint(self.id, row)
            hint = f"{hint}, or" if hint else "--id-from text, path or row makes an id"
            hint += " make ids with --id-from text, path or row" if hint.endswith("or") else ""
            raise NoDocument(f"the field {self.id!r} is missing or null; {hint}")
        raise NoDocument(f"the field {self.id!r} is {kind_of(found)}, expected text")

    def _text(self, row: Mapping[str, Any], row_id: str | None) -> str:
        names = self.texts
        values: dict[str, str] = {}
        for name in names:
            found = _converted(as_text, row, name, row_id)
            if isinstance(found, int | float) and not isinstance(found, bool) and names != [self.text]:
                found = str(found)
            if isinstance(found, str):
                values[name] = found
            elif found is not _MISSING and found is not None:
                raise NoDocument(f"the field {name!r} is {kind_of(found)}, expected text", row_id)
        if not values and (self.media.image is not None or (self.textless and self.id_from != "text")):
            return ""
        if not values:
            are = "is" if len(names) == 1 else "are"
            hint = self._hint(names[0], row)
            raise NoDocument(
                f"the field {', '.join(map(repr, names))} {are} missing or null{f'; {hint}' if hint else ''}", row_id
            )
        if isinstance(self.text, str) and _is_template(self.text):
            return _IN_BRACES.sub(lambda match: values.get(match[1], ""), self.text).strip()
        return values[names[0]] if names == [self.text] else "\n\n".join(text for text in values.values() if text)

    def _metadata(self, row: Mapping[str, Any]) -> Metadata:
        if self.metadata is not None:
            return self._chosen(row)
        rest: Metadata = dict(row)
        for name in [self.id, *self.texts, *([self.media.image] if self.media.image else [])]:
            rest = _without(rest, name)
        return rest

    def _typed(self, metadata: Metadata, row_id: str) -> Metadata:
        for name, kind in self.types.items():
            if name in metadata:
                try:
                    metadata[name] = typed(metadata[name], kind)
                except ValueError as error:
                    raise NoDocument(f"the field {name!r}: {error}", row_id) from None
        return metadata

    def _chosen(self, row: Mapping[str, Any]) -> Metadata:
        found = {name: _lookup(row, name) for name in self.metadata or ()}
        return {name: value for name, value in found.items() if value is not _MISSING}


def named_columns(names: Iterable[str]) -> list[str]:
    """The names of a table's columns; one without a name is called by its place: ``column 2``."""
    return [name if name.strip() else f"column {place}" for place, name in enumerate(names, start=1)]


def text_id(text: str) -> str:
    """An id made of a text: sha256, 32 hex digits; of equal texts the same."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _delimiter_hint(wanted: str, columns: Sequence[str]) -> str:
    """What to give where a header seems to have been cut at the wrong places."""
    for mark in ";\t|:,":
        if any(mark in name and (len(columns) == 1 or wanted in name.split(mark)) for name in columns):
            return f"the cells seem to stand between {mark!r}: give --delimiter {mark!r}"
    return ""


def _is_template(name: str) -> bool:
    return _IN_BRACES.search(name) is not None


def _lookup(value: Any, name: str) -> Any:
    """The value at a path; a key that is spelt like the path comes first."""
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        head, dot, rest = name.partition(".")
        return _lookup(value[head], rest) if dot and head in value else _MISSING
    if isinstance(value, list):
        head, dot, rest = name.partition(".")
        if head.isascii() and head.isdigit() and int(head) < len(value):
            return _lookup(value[int(head)], rest) if dot else value[int(head)]
    return _MISSING


def _converted(convert: Callable[[Any], Any], row: Mapping[str, Any], name: str, row_id: str | None) -> Any:
    """What ``convert`` makes of the value at a path, which may be missing."""
    found = _lookup(row, name)
    try:
        return found if found is _MISSING else convert(found)
    except NotText as error:
        raise NoDocument(f"the field {name!r} is bytes, expected text: {error}", row_id) from None


def _with(value: Any, name: str, new: Any) -> Any:
    """The row, or what is inside it, with another value at a path where there is one."""
    if isinstance(value, Mapping) and name in value:
        return {**value, name: new}
    head, _, rest = name.partition(".")
    if isinstance(value, Mapping):
        return {**value, head: _with(value[head], rest, new)}
    place = int(head)
    return [*value[:place], _with(value[place], rest, new) if rest else new, *value[place + 1 :]]


def _without(row: Metadata, name: str) -> Metadata:
    """The row without what is at a path; objects that become empty go too, a list stays whole."""
    if name in row:
        return {key: value for key, value in row.items() if key != name}
    head, dot, rest = name.partition(".")
    inner = row.get(head)
    if not dot or not isinstance(inner, Mapping) or _lookup(inner, rest) is _MISSING:
        return row
    left = _without(dict(inner), rest)
    return {key: left if key == head else value for key, value in row.items() if key != head or left}
