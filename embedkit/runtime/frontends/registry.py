"""The modality of each kind of frontend: a line a kind, and those of other installed packages."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from embedkit.bundle.manifest import Frontend, Input
from embedkit.bundle.validation import GROUP
from embedkit.system.offers import offered

from .base import Modality

_OWN = {
    "text": "embedkit.runtime.frontends.text.modality:TextModality",
    "ids": "embedkit.runtime.frontends.ids:IdsModality",
    "image": "embedkit.runtime.frontends.image.modality:ImageModality",
    "features": "embedkit.runtime.frontends.features:FeaturesModality",
    "composed": "embedkit.runtime.frontends.composed:ComposedModality",
    "audio": "embedkit.runtime.frontends.audio.modality:AudioModality",
}


def modality_of(frontend: Frontend, inputs: Sequence[Input]) -> Modality:
    """What reads the items of a tower."""
    name = _OWN.get(frontend.kind)
    if name is None:
        entry = offered(GROUP, frontend.kind)[0]  # the first, as the manifest's struct was found
        made: type[Modality] = entry.load()
        return made(frontend, inputs)
    module, _, attribute = name.partition(":")
    made = getattr(import_module(module), attribute)
    return made(frontend, inputs)
