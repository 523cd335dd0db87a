"""A manifest read with every doubt answered: what is wrong is named with its place."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import msgspec

from embedkit.errors import BundleError

from .manifest import SCHEMA, Manifest, is_plain_name


def read_manifest(raw: bytes, where: str) -> Manifest:
    """Decode and validate a manifest; raises `BundleError` that names the field, what was expected and what was
    found."""
    try:
        head = json.loads(raw)
    except ValueError as error:
        raise BundleError(f"{where}: not valid JSON ({error}); export the bundle again") from None
    found = head.get("schema") if isinstance(head, dict) else None
    if found != SCHEMA or isinstance(found, bool):
        raise BundleError(
            f"{where}: schema: expected {SCHEMA}, found {found!r}; this embedkit reads schema {SCHEMA} only"
        )
    try:
        manifest = msgspec.convert(head, Manifest)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        steps, value = _locate(head, place.rstrip("`"))
        raise BundleError(f"{where}: {'.'.join(steps) or 'manifest'}: {message}, found {_short(value)}") from None
    _check_names(manifest, where)
    return manifest


def _locate(head: object, place: str) -> tuple[list[str], object]:
    """The keys that lead to msgspec's ``place``, such as ``$.towers[...].frontend``, and the value there.

    msgspec writes ``[...]`` for any key of a mapping: the key meant is one with which, alone in its mapping, the
    error stays.
    """
    keys: list[str] = []
    value = head
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", place.removeprefix("$")):
        if isinstance(value, list) and step.startswith("["):
            key: Any = int(step[1:-1])
        elif isinstance(value, dict) and step == "[...]":
            key = next((key for key in value if _fails_alone(head, keys, key)), None)
        else:
            key = step
        if not isinstance(value, dict | list) or (isinstance(value, dict) and key not in value):
            break
        keys.append(str(key))
        value = value[key]
    return keys, value


def _fails_alone(head: object, keys: list[str], key: str) -> bool:
    alone = copy.deepcopy(head)
    mapping: Any = alone
    for step in keys:
        mapping = mapping[int(step)] if isinstance(mapping, list) else mapping[step]
    for other in [other for other in mapping if other != key]:
        del mapping[other]
    try:
        msgspec.convert(alone, Manifest)
    except msgspec.ValidationError:
        return True
    return False


def _check_names(manifest: Manifest, where: str) -> None:
    """What types cannot say: every name is plain and listed, every reference leads somewhere."""
    for name in manifest.files:
        if not is_plain_name(name):
            raise BundleError(f"{where}: files: expected plain file names inside the folder, found {name!r}")

    def listed(name: str, place: str) -> None:
        if name not in manifest.files:
            raise BundleError(f"{where}: {place}: expected a file listed under `files`, found {name!r}")

    listed(manifest.golden, "golden")
    for role, tower in manifest.towers.items():
        listed(tower.frontend.tokenizer, f"towers.{role}.frontend.tokenizer")
        if tower.like is not None and (
            tower.like not in manifest.towers or manifest.towers[tower.like].like is not None
        ):
            raise BundleError(
                f"{where}: towers.{role}.like: expected a tower that is not itself `like` another, found {tower.like!r}"
            )
        for key, variant in (tower.graph.variants if tower.graph else {}).items():
            for name in (variant.file, *variant.data):
                listed(name, f"towers.{role}.graph.variants.{key}")
    for key, scorer in manifest.scorers.items():
        if scorer.graph is not None:
            listed(scorer.graph, f"scorers.{key}.graph")
        for side in (scorer.left, scorer.right):
            role, _, output = side.partition(".")
            tower_ = manifest.towers.get(role)
            base = manifest.towers.get(tower_.like) if tower_ is not None and tower_.like else tower_
            if base is None or output not in base.outputs:
                raise BundleError(f"{where}: scorers.{key}: expected TOWER.OUTPUT of this bundle, found {side!r}")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
