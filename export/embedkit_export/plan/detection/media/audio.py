"""The recipe of models that read sounds, alone or beside texts: how their own vectors come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import torch
from torch import Tensor

from embedkit.errors import ExportError
from embedkit_export.modules.audio.sounds import FirstTokens
from embedkit_export.modules.images.pixels import as_tokens
from embedkit_export.modules.layers import Normalize
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.audio import AudioInput, MelInput, audio_input
from embedkit_export.recipes.recipe import Inferred, Pooling, Recipe, Role
from embedkit_export.sources.media.extractors import Hearing, of_extractor, of_folder
from embedkit_export.sources.media.sounds import is_wave
from embedkit_export.sources.source import Source

from .ways import Way, found_way

TEXTS, SOUNDS = ("default", "query", "text"), ("audio", "document")
"""The roles of a model of both: a question in words, and what is searched."""


def hearing(origin: Source, given: Any = "auto") -> Hearing:
    """What is done to a sound: as a recipe's table says, or (``auto``) as the model's own files do. Raises `ExportError` and
    `InputError`."""
    stated = None if given in (None, "auto") else audio_input(given, "recipe")
    if stated is not None and stated.mel != "auto":
        return Hearing(stated, ["audio: given by the recipe"])
    found = of_extractor(origin.processor) if origin.processor is not None else of_folder(origin.folder)
    if found is None:
        raise ExportError(
            f"{origin.name}: nothing says how its sounds are prepared: expected preprocessor_config.json beside the weights (save the "
            "feature extractor with save_pretrained), or give a table in the recipe (audio = {...})"
        )
    if stated is None:
        return found
    made = msgspec.structs.replace(stated, mel=found.audio.mel)
    return Hearing(
        made, ["audio: given by the recipe", *found.reasons], found.extractor if made == found.audio else None
    )


def is_heard(origin: Source, given: Recipe | None) -> bool:
    """Whether the recipe or the model's files say how sounds are prepared."""
    stated = given is not None and any(role.audio is not None for role in given.roles.values())
    return stated or origin.processor is not None or of_folder(origin.folder) is not None


def of_one(origin: Source, given: Recipe | None) -> Inferred:
    """The recipe of a model of sounds."""
    found = hearing(origin, given.audio if given else "auto")
    stated = given is not None and given.pooling != Recipe().pooling
    pooling, stages, reasons = (Pooling(), [], []) if stated else _pooled(origin, found.audio)
    return Inferred(Recipe(pooling=pooling, stages=stages, audio=found.audio), [*found.reasons, *reasons])


def of_both(origin: Source, texts: Inferred, given: Recipe | None) -> Inferred:
    """The recipe of a model of texts and sounds; ``texts`` is that of its texts."""
    sounds = origin.routes["audio"]
    stated = given.roles.get("audio") if given else None
    found = hearing(sounds, stated.audio if stated is not None else "auto")
    known = stated is not None and stated.pooling is not None
    pooling, stages, reasons = (None, [], []) if known else _pooled(sounds, found.audio)
    said = texts.recipe
    text_role = Role(pooling=said.pooling, stages=said.stages)
    audio_role = Role(audio=found.audio, pooling=pooling, stages=stages)
    roles = {**dict.fromkeys(TEXTS, text_role), **dict.fromkeys(SOUNDS, audio_role)}
    why = [f"roles: {', '.join(TEXTS)} read texts, {', '.join(SOUNDS)} sounds; their vectors are compared"]
    return Inferred(Recipe(roles=roles), [*why, *texts.reasons, *found.reasons, *reasons], texts.notes)


def example(audio: AudioInput, rows: int = 2) -> Tensor:
    """Numbers of the shape that a body takes: a second of samples, or the energies of bands."""
    generator = torch.Generator().manual_seed(0)
    if not isinstance(audio.mel, MelInput):
        return torch.randn(rows, audio.rate, generator=generator)
    mel = audio.mel
    sides = (mel.bands, mel.frames) if mel.layout == "bands" else (mel.frames, mel.bands)
    return torch.randn(rows, *((mel.planes, *sides) if mel.planes else sides), generator=generator)


def _pooled(origin: Source, audio: AudioInput) -> tuple[Any, list[Any], list[str]]:
    """Pooling and stages by which the model's own vectors of sounds come out, and why."""
    whole = origin.whole if origin.whole is not None else origin.backbone
    values = example(audio)
    with quiet(), torch.no_grad():
        try:
            out = origin.backbone(values)
            hidden = as_tokens(out[0] if not isinstance(out, Tensor) else out)
            expected, named = _own(whole, out, values)
        except Exception as error:
            raise ExportError(
                f"{origin.name}: {type(origin.backbone).__name__} cannot be run on sounds as they are prepared: {reason(error)}; look at "
                "`audio` in the recipe, or at preprocessor_config.json"
            ) from error
        if expected is None:
            frames = (
                "the frames that are the clip's"
                if is_wave(origin.backbone)
                else "all frames, silence behind the clip too"
            )
            return (
                Pooling(mode="mean"),
                [],
                [f"pooling: mean of {frames}, as the model has no pooled vector of its own"],
            )
        way = found_way(_ways(whole, origin.backbone), hidden, origin.backbone, expected)
    if way is not None:
        pooling, stages, said = way
        return pooling, stages, [f"pooling: {said}, by which {named} of {type(whole).__name__} comes out"]
    raise ExportError(
        f"{origin.name}: {type(whole).__name__} pools its sounds in a way that is not known here; give `pooling` and `stages` in the recipe"
    )


def _own(whole: Any, out: Any, values: Tensor) -> tuple[Tensor | None, str]:
    """The vectors that a model itself gives of sounds, and what it calls them."""
    if hasattr(whole, "get_audio_features"):
        found = whole.get_audio_features(input_features=values)
        return (found if isinstance(found, Tensor) else found.pooler_output), "get_audio_features"
    if hasattr(whole, "audio_projection"):
        return whole(input_features=values).audio_embeds, "audio_embeds"
    found = getattr(out, "pooler_output", None)
    return (None if found is None else found.flatten(1)), "pooler_output"


def _ways(whole: Any, backbone: Any) -> Iterator[Way]:
    """Poolings with the stages behind them, the likelier first."""
    projection = getattr(whole, "audio_projection", None)
    after: list[tuple[list[Any], str]] = [([], "")]
    if projection is not None:
        after = [([projection], ", projection"), ([projection, Normalize()], ", projection, unit length")]
    for behind, said in after:
        yield Pooling(mode="mean"), behind, f"mean{said}"
        yield FirstTokens(2), behind, f"mean of the first two tokens{said}"
        yield Pooling(mode="first"), behind, f"first{said}"
        if hasattr(getattr(backbone, "pooler", None), "dense"):
            yield Pooling(mode="pooler"), behind, f"the model's pooler{said}"
