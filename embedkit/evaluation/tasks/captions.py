"""Pictures with captions: is the picture found by its words, and are the words found by their picture?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedkit.encoders.base import BaseEncoder
from embedkit.encoders.info import check_encoder
from embedkit.errors import InputError
from embedkit.evaluation.media.files import captioned
from embedkit.evaluation.media.ranks import among_first
from embedkit.evaluation.scores import check_finite, crossed
from embedkit.runtime.frontends.base import Item
from embedkit.vectors.geometry import blocks, unit
from embedkit.vectors.values import Values

from .task import Measured, Rows, Task

AT = (1, 5, 10)


@dataclass(frozen=True)
class ImageText(Task):
    """Pictures, each with one caption or several.

    Of every caption whether its picture is among the first k of all (``image_recall@k``, the mean over a picture's captions), and of
    every picture whether one of its captions is among the first k of all (``text_recall@k``), for k of 1, 5 and 10, as CLIP is judged on
    COCO and Flickr30k. Equal scores count by chance. ``modality_gap`` is the distance between the mean vectors, at unit length, of
    pictures and captions (Liang et al. 2022). Pictures are what is drawn for an interval.
    """

    source: str
    images: tuple[Item, ...]
    captions: tuple[tuple[str, ...], ...]

    name = "image-text"
    units = "pictures"

    def __post_init__(self) -> None:
        if len(self.images) != len(self.captions) or len(self.images) < 2 or not all(self.captions):
            raise InputError(
                f"{self.source}: expected at least two pictures, each with a caption, found {len(self.images)} pictures and captions of "
                f"{sum(map(bool, self.captions))}"
            )

    @property
    def size(self) -> Mapping[str, int]:
        """How much there is of what."""
        return {"pictures": len(self.images), "captions": sum(map(len, self.captions))}

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ImageText:
        """JSON lines, or a table with a header (``.tsv`` without quoting, ``.csv``), with ``image`` (or ``file_name``), a file beside
        it, and ``caption`` (or ``text``; in JSON a list too). A picture that stands there again has the other caption as well."""
        found: dict[Path, list[str]] = {}
        for _, image, texts in captioned(path):
            found.setdefault(image, []).extend(texts)
        return cls(str(path), tuple(found), tuple(tuple(dict.fromkeys(texts)) for texts in found.values()))

    def measure(self, encoder: BaseEncoder, *, progress: bool = False) -> Measured:
        """The measures of any resample of pictures; `InputError` for a bundle that reads no texts or nothing else."""
        check_encoder(encoder)
        words, kind = encoder.role_of("text"), other_kind(encoder)
        texts = [text for given in self.captions for text in given]
        owner = np.repeat(np.arange(len(self.images)), [len(given) for given in self.captions])
        seen = _encoded(encoder, list(self.images), encoder.role_of(kind), progress=progress)
        said = _encoded(encoder, texts, words, progress=progress)
        found = {
            **_recalls("image_recall", *_of_captions(encoder, said, seen, owner), len(self.images)),
            **_recalls("text_recall", *_of_pictures(encoder, seen, said, owner), len(self.images)),
        }

        def statistic(rows: Rows) -> dict[str, float]:
            return {name: float(values[rows].mean()) for name, values in found.items()}

        gap = {}
        if isinstance(seen, np.ndarray) and isinstance(said, np.ndarray):
            gap["modality_gap"] = float(np.linalg.norm(unit(seen).mean(axis=0) - unit(said).mean(axis=0)))
        return Measured(len(self.images), statistic, gap)


def other_kind(encoder: BaseEncoder) -> str:
    """The kind of items beside texts that a bundle reads; `InputError` where there is none."""
    kinds = dict.fromkeys(encoder.modality(role).frontend.kind for role in encoder.roles)
    found: str | None = next((kind for kind in kinds if kind != "text"), None)
    if found is None:
        raise InputError("this bundle reads texts alone; give one of texts and pictures")
    return found


def _encoded(encoder: BaseEncoder, items: list[Item], role: str, *, progress: bool) -> Values:
    values: Values = encoder.encode(items, role=role, progress=progress)
    check_finite(values, role)
    return values


_Chances = tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]
"""(m, depths) chances, and (m,) the picture that each counts for."""


def _of_captions(encoder: BaseEncoder, said: Values, seen: Values, owner: npt.NDArray[np.intp]) -> _Chances:
    found = np.empty((len(said), len(AT)))
    for rows in blocks(len(said)):
        for row, scores in enumerate(crossed(encoder, said[rows], seen), start=rows.start):
            found[row] = [among_first(scores, owner[row : row + 1], k) for k in AT]
    return found, owner


def _of_pictures(encoder: BaseEncoder, seen: Values, said: Values, owner: npt.NDArray[np.intp]) -> _Chances:
    found = np.empty((len(seen), len(AT)))
    for rows in blocks(len(seen)):
        for row, scores in enumerate(crossed(encoder, seen[rows], said), start=rows.start):
            found[row] = [among_first(scores, np.flatnonzero(owner == row), k) for k in AT]
    return found, np.arange(len(seen))


def _recalls(
    name: str, chances: npt.NDArray[np.float64], owner: npt.NDArray[np.intp], count: int
) -> dict[str, npt.NDArray[np.float64]]:
    """(pictures,) the mean of the chances that count for each, by measure."""
    many = np.bincount(owner, minlength=count)
    return {
        f"{name}@{k}": np.bincount(owner, weights=chances[:, place], minlength=count) / many
        for place, k in enumerate(AT)
    }
