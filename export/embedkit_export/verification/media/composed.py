"""Items with parts, and arrays of numbers, that an export is judged on: drawn ones, always the same, or those of a file."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.bundle.golden import media_arrays
from embedkit.bundle.manifest import ComposedFrontend, FeaturesFrontend, Frontend, IdsFrontend, ImageFrontend, Input
from embedkit.errors import InputError
from embedkit.records.media import Image
from embedkit.runtime.frontends.base import Item, Modality
from embedkit.runtime.frontends.composed import ComposedModality
from embedkit.runtime.frontends.image.boxes import picture_size
from embedkit_export.verification.sample import Sample
from embedkit_export.verification.texts import GOLDEN, HOSTILE, drawn

from . import pictures

_GOLDEN, _DRAWN, _LIMIT, _SOURCES = 6, 32, 600, 2


def fixed(frontend: Frontend, inputs: Sequence[Input]) -> pictures.Fixed:
    """Golden items, and unusual ones."""
    known = pictures.fixed()
    odd = [text for text in HOSTILE if text.strip()]
    return pictures.Fixed(
        tuple(_items(frontend, inputs, _GOLDEN, known.golden, GOLDEN, seed=0)),
        tuple(_items(frontend, inputs, _GOLDEN, known.hostile, odd, seed=1)),
    )


def sample(frontend: Frontend, inputs: Sequence[Input], path: Path | None) -> Sample:
    """Drawn items, or those of a file of JSON lines, in which a picture is its path, relative to the file's folder. Raises
    `InputError`."""
    if path is None:
        words = " ".join(GOLDEN).split()
        texts = [" ".join(words[start : start + 2 + start % 23]) for start in range(0, 5 * _DRAWN, 5)]
        seen = [
            pictures.drawn(*size, 300 + i) for i, size in enumerate([(90, 120), (64, 64), (150, 80), (99, 101)] * 2)
        ]
        made = tuple(_items(frontend, inputs, _DRAWN, seen, texts, seed=2))
        note = "calibrated and measured on drawn items, since no sample was given: measure quality on yours (--sample FILE.jsonl)"
        return Sample("drawn items", made, notes=(note,))
    return Sample(path.name, tuple(_read(frontend, inputs, path)))


def is_of(frontend: Frontend, path: Path) -> bool:
    """Whether a file's first line is an object with all parts of a frontend."""
    if not isinstance(frontend, ComposedFrontend) or path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline()
    try:
        values = json.loads(first)
    except ValueError:
        return False
    return isinstance(values, dict) and frontend.parts.keys() <= values.keys()


def golden_arrays(role: str, modality: Modality, golden: Sequence[Item]) -> dict[str, Any]:
    """What the golden file keeps of a role: the golden items as they were prepared and, where a part is a picture, the first with
    the numbers that they are prepared to."""
    items = [modality.check(item, "golden item") for item in golden]
    files = []
    for item in items[:_SOURCES] if isinstance(modality, ComposedModality) else ():
        if (data := _as_file(item)) is not None:
            expected = {
                source: array[0] for source, array in modality.prepared([item]).items() if array.dtype.kind in "fiu"
            }
            files.append((data, expected))
    return media_arrays(role, modality.prepared(items), files)


def _as_file(item: Any) -> bytes | None:
    """What `ComposedModality.of_file` reads; None of an item without a file."""
    files = {name: b64encode(part.data).decode() for name, part in item.items() if isinstance(part, Image)}
    values = {
        name: part.tolist() if isinstance(part, np.ndarray) else part
        for name, part in item.items()
        if name not in files
    }
    return json.dumps({"files": files, "values": values}).encode() if files else None


def _read(frontend: Frontend, inputs: Sequence[Input], path: Path) -> list[Any]:
    if not isinstance(frontend, ComposedFrontend):
        raise InputError(f"sample {path}: expected none for a role that reads numbers; leave it out")
    modality = ComposedModality(frontend, inputs)
    found: list[Any] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise InputError(f"sample {path}, line {number}: not valid JSON ({error})") from None
        if not isinstance(values, dict):
            raise InputError(f"sample {path}, line {number}: expected an object with {', '.join(frontend.parts)}")
        for name, part in frontend.parts.items():
            if isinstance(part, ImageFrontend) and isinstance(values.get(name), str):
                values[name] = str(path.parent / values[name])
        found.append(modality.check(modality.of_values(values), f"sample {path}, line {number}"))
    if len(found) < 2:
        raise InputError(f"sample {path}: expected at least two items, found {len(found)}")
    order = np.random.default_rng(0).permutation(len(found))[:_LIMIT]
    return [found[i] for i in order]


def _items(
    frontend: Frontend, inputs: Sequence[Input], count: int, seen: Sequence[Any], texts: Sequence[str], *, seed: int
) -> list[Any]:
    rng = np.random.default_rng(seed)
    if not isinstance(frontend, ComposedFrontend):
        return [_drawn(frontend, rng, None, "", i) for i in range(count)]
    choices = [entry.choice for entry in inputs if entry.choice is not None and entry.part is None]
    made = []
    for i, picture, text in zip(range(count), cycle(seen), cycle(texts)):
        item = {name: _drawn(part, rng, picture, text, i) for name, part in frontend.parts.items()}
        for name, part in frontend.parts.items():
            if isinstance(part, FeaturesFrontend) and part.boxes is not None:
                item[name] = _boxes(part, rng, picture_size(item[part.boxes]))
        for place, choice in enumerate(choices, 1):
            item[choice.field] = list(choice.values)[i * place % len(choice.values)]
        made.append(item)
    return made


def _drawn(frontend: Frontend, rng: np.random.Generator, picture: Any, text: str, number: int) -> Any:
    if isinstance(frontend, ImageFrontend):
        return picture
    if isinstance(frontend, IdsFrontend):
        return drawn(frontend, 1, int(rng.integers(1, frontend.max + 1)), seed=number)[0]
    if not isinstance(frontend, FeaturesFrontend):
        return text
    rows = int(rng.integers(1, min(frontend.max, 12) + 1)) if frontend.any_rows else frontend.longest
    shape: tuple[int, ...] = (rows, frontend.dim) if len(frontend.shape) == 2 else (frontend.dim,)
    if frontend.dtype == "float32":
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(0, 2, shape).astype(frontend.dtype)


def _boxes(frontend: FeaturesFrontend, rng: np.random.Generator, size: tuple[int, int]) -> Any:
    """Boxes about the middle of a picture, which no crop takes away."""
    rows = int(rng.integers(1, min(frontend.max, 8) + 1)) if frontend.any_rows else int(frontend.shape[0])
    width, height = size
    middle = np.array([width / 2, height / 2])
    reach = rng.uniform(0.05, 0.5, (rows, 4)) * [width, height, width, height]
    return np.concatenate([middle - reach[:, :2], middle + reach[:, 2:]], axis=1).astype(np.float32)
