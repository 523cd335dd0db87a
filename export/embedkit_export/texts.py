"""Texts that every export is judged on: golden texts of our own, hostile ones, and a sample for calibration and for
the gate."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path

from embedkit.errors import InputError
from embedkit.records import check_text

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

CALIBRATION_TEXTS = 200
GATE_TEXTS = 300


def sample(path: Path | None) -> tuple[list[str], str]:
    """Up to 500 texts, evenly taken, and what they are: a user's file (JSON lines with a ``text``, or one text a
    line), or by default docstrings of Python's standard library. Raises `InputError` for a file that cannot be
    used."""
    if path is None:
        from embedkit.docstrings import standard_library

        texts = [document.text for document in standard_library()]
        name = "docstrings of Python's standard library"
    else:
        texts = _read(path)
        name = path.name
    texts = list(dict.fromkeys(text for text in texts if text.strip()))
    if len(texts) < 2:
        raise InputError(
            f"sample {path}: expected at least two different texts, found {len(texts)}; a few hundred typical ones are best"
        )
    # In the order of their digests: the same texts give the same choice, whatever order they came in.
    texts.sort(key=lambda text: hashlib.sha256(text.encode()).digest())
    return list(islice(texts, CALIBRATION_TEXTS + GATE_TEXTS)), name


def longest(gate: list[str]) -> list[str]:
    """Three texts that are longer than any model here reads, joined from ``gate`` texts."""
    return ["\n".join((gate * 1000)[start : start + 1000])[:40_000] for start in range(3)]


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"sample {path}: cannot be read: {error}") from None
    if path.suffix not in (".jsonl", ".ndjson"):
        return [line for line in lines if line.strip()]
    texts = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                texts.append(check_text(json.loads(line)["text"], "text"))
            except (ValueError, KeyError, TypeError, InputError) as error:
                raise InputError(
                    f'sample {path}, line {number}: expected a JSON object with a "text": {error!r:.120}'
                ) from None
    return texts
