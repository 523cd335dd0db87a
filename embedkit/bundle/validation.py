"""A manifest read with every doubt answered: what is wrong is named with its place."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import msgspec

from embedkit.errors import BundleError
from embedkit.system.offers import offered

from .consistency import check_consistency, check_values
from .manifest import (
    SCHEMAS,
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    Frontend,
    IdsFrontend,
    ImageFrontend,
    Manifest,
    TextFrontend,
)

GROUP = "embedkit.frontends"
"""The entry point group of further kinds: each names a class `embedkit.runtime.frontends.base.Modality`, whose ``kind``
is the struct that stands in the manifest, tagged by ``kind`` with the entry point's name."""

_OWN: dict[str, type[msgspec.Struct]] = {
    "text": TextFrontend,
    "ids": IdsFrontend,
    "image": ImageFrontend,
    "features": FeaturesFrontend,
    "composed": ComposedFrontend,
    "audio": AudioFrontend,
}


def read_manifest(raw: bytes, where: str) -> Manifest:
    """Decode and validate a manifest; raises `BundleError` that names the field, what was expected and what was
    found."""
    try:
        head = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not valid JSON ({error}); export the bundle again") from None
    check_values(head, where)
    found = head.get("schema") if isinstance(head, dict) else None
    if found not in SCHEMAS or isinstance(found, bool):
        raise BundleError(
            f"{where}: schema: expected {' or '.join(map(str, SCHEMAS))}, found {found!r}; this embedkit reads no other: install a "
            "newer one"
        )
    _frontends(head, where)
    try:
        manifest = msgspec.convert(head, Manifest, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        raise _refused(error, head, Manifest, where, []) from None
    check_consistency(manifest, where)
    return manifest


def frontend_struct(kind: object) -> type[msgspec.Struct]:
    """The struct of a kind of frontend; `BundleError` naming those there are."""
    if isinstance(kind, str) and kind in _OWN:
        return _OWN[kind]
    for entry in offered(GROUP, kind) if isinstance(kind, str) else ():
        try:
            struct: type[msgspec.Struct] = entry.load().kind
        except Exception as error:  # another package, which may fail in any way
            raise BundleError(
                f"kind: the package that reads {kind!r} cannot be loaded ({error}); install it again"
            ) from error
        return struct
    known = ", ".join(sorted({*_OWN, *(entry.name for entry in offered(GROUP))}))
    raise BundleError(f"kind: expected one of {known}, found {kind!r}; install the package that reads this kind")


def _frontends(head: dict[str, Any], where: str) -> None:
    """Each tower's frontend, by its kind, in the place of what stands for it."""
    towers = head.get("towers")
    for role, tower in towers.items() if isinstance(towers, dict) else ():
        if isinstance(tower, dict):
            _frontend(tower, "frontend", where, ["towers", str(role), "frontend"])


def _frontend(holder: dict[str, Any], key: str, where: str, steps: list[str]) -> None:
    """The frontend in the place of what stands for it in ``holder``, those of its parts first."""
    given = holder.get(key)
    if key not in holder:
        return  # which is told with the rest
    if not isinstance(given, dict):
        found = f"Expected `object`, got `{_json_type(given)}`, found {_short(given)}"
        raise BundleError(f"{where}: {'.'.join(steps)}: {found}")
    try:
        struct = frontend_struct(given.get("kind"))
    except BundleError as error:
        raise BundleError(f"{where}: {'.'.join(steps)}.{error}") from None
    parts: Any = given.get("parts") if struct is ComposedFrontend else None
    for name in parts if isinstance(parts, dict) else {}:
        if len(steps) > _DEEPEST:
            raise BundleError(f"{where}: {'.'.join(steps)}.parts: expected parts that are not composed themselves")
        _frontend(parts, name, where, [*steps, "parts", str(name)])
    try:
        holder[key] = msgspec.convert(given, struct, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        raise _refused(error, given, struct, where, steps) from None


_DEEPEST = 3
"""Steps to the frontend of a tower, which alone has parts."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys, each of which stands there once: of two, another program may read the other."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in an object")
    return made


def _decoded(wanted: type, value: object) -> object:
    """A frontend was decoded before, and stays as it is; anything else there is none."""
    if wanted is Frontend and not isinstance(value, Frontend):
        raise ValueError(f"Expected `object`, got `{_json_type(value)}`")  # to which msgspec adds the place
    return value


def _json_type(value: object) -> str:
    names = {str: "str", bool: "bool", int: "int", float: "float", list: "array", type(None): "null"}
    return names.get(type(value), "object")


def _refused(error: msgspec.ValidationError, head: object, wanted: type, where: str, before: list[str]) -> BundleError:
    message, _, place = str(error).partition(" - at `")
    if place.startswith("key` in `"):
        message, place = f"a key: {message}", place.removeprefix("key` in `")
    steps, value = _locate(head, place.rstrip("`"), wanted)
    return BundleError(f"{where}: {'.'.join([*before, *steps]) or 'manifest'}: {message}, found {_short(value)}")


def _locate(head: object, place: str, wanted: type) -> tuple[list[str], object]:
    """The keys that lead to msgspec's ``place``, such as ``$.towers[...].graph``, and the value there.

    msgspec writes ``[...]`` for any key of a mapping: the key meant is one with which, alone in its mapping, the
    error stays.
    """
    keys: list[str] = []
    value = head
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", place.removeprefix("$")):
        if isinstance(value, list) and step.startswith("["):
            key: Any = int(step[1:-1])
        elif isinstance(value, dict) and step == "[...]":
            key = next((key for key in value if _fails_alone(head, keys, key, wanted)), None)
        else:
            key = step
        if not isinstance(value, dict | list) or (isinstance(value, dict) and key not in value):
            break
        keys.append(str(key))
        value = value[key]
    return keys, value


def _fails_alone(head: object, keys: list[str], key: str, wanted: type) -> bool:
    alone = copy.deepcopy(head)
    mapping: Any = alone
    for step in keys:
        mapping = mapping[int(step)] if isinstance(mapping, list) else mapping[step]
    for other in [other for other in mapping if other != key]:
        del mapping[other]
    try:
        msgspec.convert(alone, wanted, dec_hook=_decoded)
    except msgspec.ValidationError:
        return True
    return False


def _short(value: object) -> str:
    text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
