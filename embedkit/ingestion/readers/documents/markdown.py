"""Markdown: a file is one document, with its front matter as metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from embedkit.ingestion.readers.source import Source
from embedkit.ingestion.rows.fields import Fields
from embedkit.ingestion.rows.row import Row
from embedkit.records.metadata import Metadata
from embedkit.system.extras import needed
from embedkit.system.files.lines import TooLong, not_utf8, whole

_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


class BrokenFrontMatter(ValueError):
    """What stands between the lines ``---`` is no YAML mapping."""


def read_markdown(file: BinaryIO, source: Source, fields: Fields) -> Iterator[Row]:
    """The one document of a Markdown file in UTF-8; its text stays as it is, without the front matter.

    Front matter is YAML between two lines ``---`` at the very beginning. Raises `MissingExtraError` where a file has
    some and PyYAML is not installed.
    """
    try:
        text, metadata = split_front_matter(whole(file).decode("utf-8"))
    except TooLong as error:
        yield source.bad(str(error))
    except UnicodeDecodeError as error:
        yield source.bad(not_utf8(error))
    except BrokenFrontMatter as error:
        yield source.bad(str(error))
    else:
        yield source.document(text, metadata, fields)


def split_front_matter(text: str) -> tuple[str, Metadata]:
    """The text below the front matter, and what that says; raises `BrokenFrontMatter`."""
    match = _FRONT.match(text)
    if not match:
        return text, {}
    found = _yaml(match[1])
    if found is None:
        return text[match.end() :].lstrip("\r\n"), {}
    if not isinstance(found, dict):
        raise BrokenFrontMatter(f"front matter: expected 'key: value' lines, found {type(found).__name__}")
    return text[match.end() :].lstrip("\r\n"), _with_text_keys(found)


def _yaml(text: str) -> Any:
    needed("yaml", "the front matter of a Markdown file", extra="markdown")
    import yaml  # by its name, for its types

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):  # a few lines of them can stand for gigabytes
                raise BrokenFrontMatter("front matter: YAML aliases (*name) are not read; write the value out")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except BrokenFrontMatter:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BrokenFrontMatter("front matter: " + " ".join(str(error).split())) from error


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_with_text_keys(item) for item in value]
    return value
