"""What an export is calibrated and judged on, for each kind of what its roles read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from embedkit.bundle.manifest import (
    AudioFrontend,
    ComposedFrontend,
    FeaturesFrontend,
    Frontend,
    IdsFrontend,
    ImageFrontend,
    TextFrontend,
)
from embedkit.errors import InputError
from embedkit_export.plan.plan import Plan
from embedkit_export.verification.sample import Sample, read
from embedkit_export.verification.texts import typical

from . import composed, pictures, sounds

_WANTED = {"image": "a folder of pictures", "audio": "a folder of sounds"}


def samples(plan: Plan, given: Any) -> dict[str, Sample]:
    """The sample of each kind of frontend, by its name: the user's file or folder, else what is always the same. Raises
    `InputError`."""
    paths = [Path(one) for one in _listed(given)]
    seen = [path for path in paths if pictures.holds_pictures(path)]
    heard = [path for path in paths if path not in seen and sounds.holds_sounds(path)]
    others = [path for path in paths if path not in seen and path not in heard]
    frontends = {sample_key(role.frontend): role.frontend for role in reversed(plan.roles.values())}
    inputs = {sample_key(role.frontend): plan.graphs[role.graph].inputs for role in plan.roles.values()}
    found: dict[str, Sample] = {}
    used: list[Path | None] = []
    for kind, frontend in frontends.items():
        own = seen if isinstance(frontend, ImageFrontend) else heard
        if isinstance(frontend, ComposedFrontend | FeaturesFrontend):
            own = [path for path in others if composed.is_of(frontend, path)]
        elif not isinstance(frontend, ImageFrontend | AudioFrontend):
            own = [path for path in others if not any(composed.is_of(one, path) for one in frontends.values())]
        if len(own) > 1:
            raise InputError(f"sample: expected one for {kind}, found {own[0]} and {own[1]}")
        path = own.pop() if own else None
        used.append(path)
        if isinstance(frontend, ImageFrontend):
            found[kind] = pictures.sample(path, frontend)
        elif isinstance(frontend, ComposedFrontend | FeaturesFrontend):
            found[kind] = composed.sample(frontend, inputs[kind], path)
        elif isinstance(frontend, AudioFrontend):
            found[kind] = sounds.sample(path, frontend.rate)
        elif isinstance(frontend, IdsFrontend) and path is None:
            found[kind] = Sample("random sequences of ids", tuple(typical(frontend)))
        else:
            found[kind] = read(path, fields=_fields(frontend))
    if left := [path for path in paths if path not in used]:
        kinds = dict.fromkeys(frontend.kind for frontend in frontends.values())
        wanted = " or ".join(_WANTED.get(kind, "texts") for kind in kinds)
        raise InputError(f"sample {left[0]}: this model reads {', '.join(kinds)}: expected {wanted}")
    return found


def sample_key(frontend: Frontend) -> str:
    """What samples are told apart by: the kind of what is read, and of items with parts, or numbers, all that is said of them."""
    if isinstance(frontend, ComposedFrontend | FeaturesFrontend):
        return f"{frontend.kind} {msgspec.json.encode(frontend).decode()}"
    return "rendered" if isinstance(frontend, ImageFrontend) and frontend.source == "rendered" else frontend.kind


def named(found: Mapping[str, Sample]) -> str:
    """The names of the samples."""
    return ", ".join(dict.fromkeys(sample.name for sample in found.values()))


def _listed(given: Any) -> Sequence[Any]:
    if given is None:
        return []
    return [given] if isinstance(given, str | os.PathLike) else list(given)


def _fields(frontend: Any) -> list[str]:
    """The fields that a sample has to have: those of the template without a text of their own."""
    if not isinstance(frontend, TextFrontend):
        return ["text"]
    required = [part.field for part in frontend.template if part.field and part.default is None]
    return [str(name) for name in required] if len(required) > 1 else ["text"]
