"""The sentences in which a class is named: sets that are known, those of a bundle, and those of a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from embedkit.checks import items_of
from embedkit.errors import DiskError, InputError
from embedkit.system.files.lines import not_utf8

PLACE = "{}"
PHOTO = ("a photo of a {}.",)
# As CLIP was judged on ImageNet (Radford et al. 2021, notebooks/Prompt_Engineering_for_ImageNet, MIT).
IMAGENET = (
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)
SETS = {"photo": PHOTO, "imagenet": IMAGENET, "plain": (PLACE,)}
"""Sets by name: one sentence, the 80 of CLIP's own evaluation, and the label as it is."""


def templates_of(
    given: str | os.PathLike[str] | Iterable[str] | None,
    carried: Mapping[str, Sequence[str]] = MappingProxyType({}),
    *,
    default: str = "photo",
) -> tuple[str, ...]:
    """Templates with one ``{}`` each: a set that the bundle has ``carried`` or one of `SETS` by its name, the lines of a file, or such
    strings. None: the bundle's only set, or where it has none that of the ``default`` name. Raises `InputError`."""
    if given is None:
        if len(carried) > 1:
            raise InputError(f"prompts: this bundle has several sets; name one of {', '.join(carried)}")
        return tuple(*carried.values()) if carried else SETS[default]
    if isinstance(given, str | os.PathLike):
        known = SETS | {name: tuple(templates) for name, templates in carried.items()}
        if given in known:
            return known[str(given)]
        if isinstance(given, str) and PLACE in given:
            raise InputError(f"prompts: found one template, {given!r:.60}; put it in a list")
        source, found = f"prompts {given}", lines_of(given, f"prompts: expected {', '.join(known)} or a file")
    else:
        source, found = "prompts", list(items_of("prompts", given, "template"))
    for number, template in enumerate(found, 1):
        if not isinstance(template, str) or template.count(PLACE) != 1:
            raise InputError(
                f"{source}, {number}: expected a text with {PLACE} once, where the label goes, found {template!r:.80}"
            )
    if not found:
        raise InputError(f"{source}: expected at least one template such as 'a photo of a {PLACE}.', found none")
    return tuple(found)


def lines_of(path: str | os.PathLike[str], wanted: str = "") -> list[str]:
    """The lines of a file of UTF-8 text, stripped, without those that are blank. Raises `InputError`, or where it cannot be
    read `DiskError`."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{wanted or 'expected a file'}, found {os.fspath(path)!r}, which is not there") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {not_utf8(error)}; save it in UTF-8") from error
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}", error) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
