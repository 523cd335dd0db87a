"""Texts that every export is judged on beside the sample: golden texts of our own, hostile ones, very long ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedkit.bundle.manifest import Frontend, IdsFrontend

GOLDEN = (
    "The harbour was quiet, and the last boat had already left.",
    "How do I read a compressed file line by line?",
    "def area(width: float, height: float) -> float:\n    return width * height",
    "Rain is expected in the north tomorrow, with strong winds along the coast and snow above nine hundred metres.",
    "Der Vertrag tritt am ersten Tag des folgenden Monats in Kraft.",
    "La bibliothèque ferme plus tôt pendant les vacances d'été.",
    "今日はとても暑いので、川へ泳ぎに行きました。",
    "Вчера вечером мы долго говорили о старых фильмах.",
    "SELECT name, COUNT(*) FROM visits GROUP BY name HAVING COUNT(*) > 3;",
    "ok",
    "A recipe for bread needs flour, water, salt, yeast, an oven and patience: the dough should rest overnight in a cool place, be folded "
    "twice, and go into the oven only when it has doubled in size.",
    "Patients who were given the lower dose recovered as quickly as the others, but reported fewer side effects during the first week.",
)

HOSTILE = (
    "",
    " \t\n ",
    "a",
    "\u0000nul\u0000",
    "e\u0301 é ﬁ ① ㎏ İ ß",
    "\u202eright to left\u202c \u200d\ufeff",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪",
    "x" * 300,
    "[CLS] [SEP] [MASK] <s> </s> <pad>",
    "مرحبا بالعالم 你好，世界 สวัสดีชาวโลก नमस्ते दुनिया",
    "word " * 700,
)

GATE_TEXTS = 300


LONG, RATHER_LONG = 40_000, 6_000
"""Characters of texts that most models cut, and of one that is longer than what attention computes at once."""


def longest(gate: list[str], count: int = 3, characters: int = LONG) -> list[str]:
    """Texts that are longer than most models here read, joined from ``gate`` texts."""
    return ["\n".join((gate * 1000)[start : start + 1000])[:characters] for start in range(count)]


@dataclass(frozen=True)
class Fixed:
    """The texts that are the same for every export of a kind of frontend; those of ids are numbers with spaces between."""

    golden: tuple[str, ...]
    hostile: tuple[str, ...]


def fixed(frontend: Frontend) -> Fixed:
    """Golden and hostile texts for a frontend."""
    if not isinstance(frontend, IdsFrontend):
        return Fixed(GOLDEN, HOSTILE)
    lengths = [1, 2, *np.unique(np.geomspace(3, frontend.max, 10).astype(int)).tolist()]
    last = frontend.size - 1 if frontend.size - 1 != frontend.pad_id else frontend.size - 2
    extremes = [[last], [last] * frontend.max, [last, *drawn(frontend, 1, frontend.max + 3)[0]]]
    return Fixed(tuple(map(_joined, drawn(frontend, len(lengths), lengths))), tuple(map(_joined, extremes)))


def typical(frontend: IdsFrontend, count: int = 600) -> list[str]:
    """Random sequences of all lengths, always the same: what an export of ids is calibrated and judged on without a
    sample."""
    lengths = np.random.default_rng(1).integers(1, frontend.max + 1, count).tolist()
    return [_joined(ids) for ids in drawn(frontend, count, lengths, seed=2)]


def drawn(frontend: IdsFrontend, count: int, lengths: int | list[int], *, seed: int = 0) -> list[list[int]]:
    """``count`` sequences of random ids that are no padding."""
    rng = np.random.default_rng(seed)
    known = np.delete(np.arange(frontend.size), frontend.pad_id)
    sizes = [lengths] * count if isinstance(lengths, int) else lengths
    return [rng.choice(known, size).tolist() for size in sizes]


def _joined(ids: list[int]) -> str:
    return " ".join(map(str, ids))
