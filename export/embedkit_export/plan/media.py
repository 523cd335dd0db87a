"""What a role reads of a picture or a sound, and the model's own preparing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedkit.bundle.manifest import AudioFrontend
from embedkit.errors import ExportError, InputError
from embedkit_export.recipes.audio import AudioInput
from embedkit_export.recipes.images import ImageInput
from embedkit_export.recipes.recipe import Role
from embedkit_export.sources.media import sounds
from embedkit_export.sources.media.processors import of_folder, of_processor
from embedkit_export.sources.source import Source

from .detection.media.audio import hearing
from .detection.media.images import preparing


def audio_frontend(role: Role, origin: Source, mels: list[Any]) -> AudioFrontend:
    """What the manifest says of sounds. Each mel has a file of its own: ``mels`` holds those that have one, and gets this one."""
    heard = hearing(origin, role.audio).audio
    key = (heard.mel, heard.rate)
    if heard.mel is not None and key not in mels:
        mels.append(key)
    number = mels.index(key) if heard.mel is not None else 0
    file = f"frontend{number or ''}.npz"
    if heard.mel is None and not sounds.is_wave(origin.backbone):
        raise InputError(f"audio: {type(origin.backbone).__name__} takes the energies of bands: give `mel`")
    own = heard.mel is None
    convolutions = sounds.convolutions(origin.backbone) if own else []
    batch = sounds.batch_of(origin.backbone) if own else "fixed"
    return heard.frontend(file=file, convolutions=convolutions, batch=batch)


def own_preparing(role: Role, origin: Source, base: Path | None) -> tuple[Any, ImageInput | None, AudioInput | None]:
    """The model's own preparing of pictures or sounds, where the recipe's is the same, and what is done to them."""
    if role.audio is not None:
        heard = hearing(origin, role.audio)
        try:
            stated = hearing(origin)
        except ExportError:
            stated = None
        same = stated is not None and stated.audio == heard.audio
        return (stated.extractor if stated is not None and same else None), None, heard.audio
    if role.image is None:
        return None, None, None
    given = preparing(origin, role.image, base).image
    own = of_processor(origin.processor) if origin.processor is not None else of_folder(origin.folder)
    return (own.processor if own is not None and own.image == given else None), given, None


def reasons_of(role: Role, origin: Source, base: Path | None) -> list[str]:
    """Where what is done to the pictures or sounds of a module comes from; of others it was told as their recipe was found out."""
    if role.module is None:
        return []
    if role.audio is not None:
        return hearing(origin, role.audio).reasons
    return preparing(origin, role.image, base).reasons if role.image is not None else []


def leading(role: Role, pooling: Any) -> int:
    """Tokens at the beginning of a picture's that are left out: its class token, registers."""
    if role.image is None:
        return 0
    without = role.without if role.without is not None else getattr(pooling, "without", [])
    unknown = [rule for rule in without if not rule.startswith("first")]
    if unknown:
        raise ExportError(f"without: of a picture's tokens first or first:N can be left out, found {unknown[0]!r}")
    return max((int(rule.partition(":")[2] or 1) for rule in without), default=0)
