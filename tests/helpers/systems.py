"""What the tests of published systems share. Their references are written in the tests, with transformers and torch
alone, as the papers' authors run their models."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import embedkit_export
from embedkit import Encoder
from embedkit.runtime.frontends.text.template import Template
from embedkit.runtime.frontends.text.tokenizer import TextTokenizer
from embedkit_export.recipes.recipe import Recipe, Role
from helpers import models

Floats = npt.NDArray[np.float32]
WORDS = " ".join(models.SENTENCES).split()
_RANDOM = random.Random(7)
# From one word to more than any model here reads.
LENGTHS = (1, 2, 3, 5, 8, 11, 14, 17, 23, 31, 37, 90)
TEXTS = [" ".join(_RANDOM.choices(WORDS, k=n)) for n in LENGTHS]
TITLES = [" ".join(_RANDOM.choices(WORDS, k=1 + n % 4)) for n in LENGTHS]


def sample(folder: Path, fields: Sequence[str] = ("text",)) -> Path:
    """A file of 24 short records, which calibrate and judge an export."""
    rng = random.Random(0)
    rows = [{field: " ".join(rng.choices(WORDS, k=2 + i % 17)) for field in fields} for i in range(24)]
    path = folder / "sample.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def export(
    model: Any,
    recipe: Any,
    folder: Path,
    *,
    fields: Sequence[str] = ("text",),
    variants: Sequence[str] = ("fp32",),
) -> Encoder:
    """The fp32 encoder of ``model`` exported by ``recipe`` (an object, or the text of a TOML file in ``folder``)."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(recipe, str):
        file = folder / "recipe.toml"
        file.write_text(recipe)
        recipe = file
    report = embedkit_export.export(
        model,
        recipe=recipe,
        output=folder / "bundle",
        sample=sample(folder, fields),
        variants=variants,
        timing=False,
    )
    assert not report.missing
    return load(report.path)


def load(path: Path, variant: str = "fp32") -> Encoder:
    """A bundle's encoder, which says nothing of long texts."""
    return Encoder.load(path, variant=variant, on_truncate="ignore", threads=1)


def agree(encoder: Encoder, items: Sequence[Any], expected: Any, *, role: str = "default") -> Floats:
    """Vectors of ``items``: those expected, and of each item alone, or in another order, the same bytes."""
    wanted = np.asarray(expected)
    found = encoder.encode(list(items), role=role)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-4
    assert np.array_equal(encoder.encode(list(items)[::-1], role=role)[::-1], found)
    for item, row in zip(items, found, strict=True):
        assert encoder.encode(item, role=role).tobytes() == row.tobytes()
    return found


def apart(a: Any, b: Any) -> float:
    """The largest absolute difference."""
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


def ids(encoder: Encoder, item: Any, role: str = "default") -> list[int]:
    """The token ids that a role of the bundle reads of an item."""
    frontend = encoder.bundle.tower(role).frontend
    tokenizer = TextTokenizer(Template(frontend), encoder.bundle.path(frontend.tokenizer))
    row: list[int] = tokenizer.encode([tokenizer.template.check(item, "item")]).ids[0].tolist()
    return row


def pad(rows: Sequence[Sequence[int]], pad_id: int, length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, tokens) ids, padded on the right, and their mask."""
    longest = length or max(map(len, rows))
    token_ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows])
    return token_ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(n, dim) means of the (n, tokens, dim) states where the mask is 1."""
    weights = mask[:, :, None].float()
    return (hidden * weights).sum(1) / weights.sum(1)


STOPWORDS = ["the", "and", "a", "of", "in", "it"]

TEMPLATE = 'a recipe for "{text}". the committee said it in one word: "'

PROMPTREPS = Recipe(
    pooling={"mode": "last", "masked": False},
    outputs={
        "sparse": {
            "kind": "sparse",
            "pooling": "last",
            "own_tokens": True,
            "stopwords": STOPWORDS,
            "top": 6,
            "scale": 100.0,
        }
    },
    similarity="cosine",
    max_tokens=48,
    cut="content",
    roles={"default": Role(template=TEMPLATE, without=["template", "special"])},
)
