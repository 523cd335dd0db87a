"""The front matter of a Markdown file: YAML between two lines ``---`` at its very beginning."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from embedkit.records.metadata import Metadata
from embedkit.system.extras import needed

_FRONT = re.compile(
    r"---[ \t]*\r?\n(?P<inside>(?![ \t]*\r?\n).*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,4000})\Z", re.ASCII)
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_YAML = "tag:yaml.org,2002:"
_TAGS = {"str", "null", "bool", "int", "float", "timestamp", "merge", "value", "seq", "map"}


class NoFrontMatter(ValueError):
    """What stands between the lines ``---`` is no YAML mapping."""


def split_front_matter(text: str) -> tuple[str, Metadata]:
    """The text below the front matter, and what that says.

    A file that begins with a thematic break has none: where an empty line follows the first ``---``, or what stands there is
    one piece of text. Values are those of YAML 1.2 that cannot be meant otherwise, and dates; any other is text as it is
    written (NO, 12:30, 0123). Raises `NoFrontMatter` for what looks like front matter and is none, and `MissingExtraError`
    where PyYAML is not installed.
    """
    match = _FRONT.match(text)
    if not match:
        return text, {}
    found = _read(match["inside"])
    if isinstance(found, str):
        return text, {}
    if not isinstance(found, dict):
        raise NoFrontMatter(f"front matter: expected 'key: value' lines, found {type(found).__name__}")
    return text[match.end() :].lstrip("\r\n"), found


def _read(text: str) -> Any:
    """A mapping, a list, or a text; an empty mapping where there is nothing, and the text itself where there are comments alone:
    to Markdown they are headings."""
    needed("yaml", "the front matter of a Markdown file", extra="markdown")
    import yaml  # by its name, for its types

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):  # a few lines of them can stand for gigabytes
                raise NoFrontMatter("front matter: YAML aliases (*name) are not read; write the value out")
            return super().compose_node(parent, index)

    try:
        node = yaml.compose(text, Loader)
        return _value(node) if node is not None else text if text.strip() else {}
    except NoFrontMatter:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NoFrontMatter("front matter: " + " ".join(str(error).split())) from error


def _value(node: Any) -> Any:
    if node.tag.removeprefix(_YAML) not in _TAGS:
        raise NoFrontMatter(f"front matter: the tag {node.tag} is not read; leave it out")
    if node.id == "sequence":
        return [_value(item) for item in node.value]
    if node.id == "mapping":
        found: Metadata = {}
        for key, item in node.value:
            if key.id != "scalar":
                raise NoFrontMatter("front matter: expected text as a key, found a list or a mapping")
            if key.value in found:
                raise NoFrontMatter(f"front matter: the key {key.value!r} is there twice")
            found[key.value] = _value(item)
        return found
    return _scalar(node)


def _scalar(node: Any) -> Any:
    """What a scalar stands for. Its tag is what YAML 1.1 takes it for, or what was written (``!!str``)."""
    kind, text = node.tag.removeprefix(_YAML), node.value
    if node.style is not None or kind == "str":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return _time(node) if kind == "timestamp" else text


def _time(node: Any) -> date | str:
    from yaml.constructor import SafeConstructor

    if not SafeConstructor.timestamp_regexp.match(node.value):  # a tag that was written at what is no time
        return str(node.value)
    try:
        found: date = SafeConstructor().construct_yaml_timestamp(node)
    except (ValueError, OverflowError):  # the 99th of May
        return str(node.value)
    return found
