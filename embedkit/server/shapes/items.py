"""The inputs of a request as items: texts, fields, ids; pictures and sounds as data URIs, never as paths of this machine."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any

from embedkit.encoders.info import EncoderInfo
from embedkit.errors import InputError
from embedkit.records.media import Audio, Image
from embedkit.runtime.frontends.base import Item, Modality
from embedkit.runtime.options import EncodeOptions

TOKEN_IDS = (
    "this server takes texts, and found token ids; in LangChain set check_embedding_ctx_length=False (or start the server with --token-ids "
    "model, if these are the bundle's own)"
)
_DATA_URI = re.compile(r"data:(image|audio)/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
_MEDIA: dict[str, Callable[[bytes], Item]] = {"image": Image, "audio": lambda data: Audio(data=data)}

Decoder = Callable[[Sequence[int]], str]
"""Gives the text of token ids."""


def given_items(
    encoder: EncoderInfo, given: Any, role: str, *, most: int, decode: Decoder | None = None, name: str = "input"
) -> list[tuple[str, Item]]:
    """The (role, item) of each input, in their order: ``role``, or where that is a general one and the item of another kind the
    role that reads it. ``decode`` makes texts of token ids; without it they are refused."""
    modality = encoder.modality(role)
    items = _listed(modality, given, decode, name)
    if not items:
        raise InputError(f"{name}: expected at least one text, found an empty list")
    if len(items) > most:
        raise InputError(f"{name}: expected at most {most:,} texts, found {len(items):,}; send fewer at a time")
    kinds = {encoder.modality(one).frontend.kind for one in encoder.roles}
    if kinds == {"text"}:
        return [(role, item) for item in items]
    found: list[tuple[str, Item]] = []
    for i, item in enumerate(items):
        made = _item(item, modality, f"{name} {i}", media=not kinds.isdisjoint(_MEDIA))
        found.append((encoder.meant(EncodeOptions(role), made).role, made))
    for i, (role, made) in enumerate(found):
        if isinstance(made, str) and (kind := encoder.modality(role).frontend.kind) not in ("text", "composed"):
            raise InputError(f"{name} {i}: this role reads {kind}, and found a text; give {_wanted(kind)}")
    return found


def _listed(modality: Modality, given: Any, decode: Decoder | None, name: str) -> list[Any]:
    """Each input by itself."""
    if given is None:
        raise InputError(f"{name}: expected a text or a list of texts, found none")
    if isinstance(given, str | dict):
        return [given]
    if not isinstance(given, list):
        raise InputError(f"{name}: expected a text or a list of texts, found {type(given).__name__}")
    kind = modality.frontend.kind
    if kind not in ("text", "image", "audio"):
        return [given] if given and isinstance(given[0], int | float) else given
    if _ids(given):
        given = [given]
    if any(_ids(one) for one in given):
        if decode is None:
            raise InputError(f"{name}: {TOKEN_IDS}")
        return [decode(one) if _ids(one) else one for one in given]
    return given


def _ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    )


def _item(value: Any, modality: Modality, where: str, *, media: bool) -> Item:
    """A JSON value as an item: a data URI, a mapping that holds one, or what it is. No string is ever a path."""
    parts: dict[str, Modality] | None = (
        getattr(modality, "parts", None) if modality.frontend.kind == "composed" else None
    )
    if isinstance(value, dict) and parts is not None:
        return {
            name: _part(parts[name], one, f"{where}, part {name!r}") if name in parts else one
            for name, one in value.items()
        }
    if parts is not None and isinstance(value, str):
        raise InputError(f"{where}: expected an object with {', '.join(parts)}, found a text")
    if isinstance(value, dict) and media:
        kind = value.get("type")
        for name in _MEDIA:
            inner = value.get(f"{name}_url", value.get(name))
            if isinstance(inner, dict):
                inner = inner.get("url")
            if inner is not None and (kind in (None, name, f"{name}_url")) and name not in modality.fields:
                return _media(inner, name, where)
        if kind == "text" and set(value) == {"type", "text"}:
            return value["text"]
    if isinstance(value, str) and media and (found := _DATA_URI.match(value[:200])):
        return _media(value, found[1].lower(), where)
    return value


def _part(modality: Modality, value: Any, where: str) -> Item:
    kind = modality.frontend.kind
    return _media(value, kind, where) if kind in _MEDIA else value


def _media(value: Any, kind: str, where: str) -> Item:
    """The picture or sound of a data URI."""
    found = _DATA_URI.match(value[:200]) if isinstance(value, str) else None
    if found is None:
        raise InputError(f"{where}: expected {_wanted(kind)}; files and addresses are not opened, found {value!r:.40}")
    if found[1].lower() != kind:
        raise InputError(f"{where}: expected {_wanted(kind)}, found one of {found[1].lower()}")
    try:
        return _MEDIA[kind](base64.b64decode(value[found.end() :], validate=True))
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{where}: the data URI is no base64 ({error}); encode the file's bytes again") from None


def _wanted(kind: str) -> str:
    return f"a data URI, as data:{kind}/...;base64,..." if kind in _MEDIA else f"the {kind} that the model reads"
