"""Texts of five lengths, all made of one source: a file of the user, or the docstrings of the standard library."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

CORPORA = ("mixed", "queries", "sentences", "paragraphs", "documents")

_WORDS = {"queries": (3, 8), "sentences": (9, 30), "paragraphs": (60, 120), "documents": (300, 400)}
"""The fewest and most words of a text."""


def source(path: Path | None) -> list[str]:
    """The ``text`` of each line of a JSONL file (may be gzipped), or the docstrings, in an order of mixed lengths."""
    if path is None:
        from embedkit.ingestion.readers.docstrings import standard_library

        texts = [document.text for document in standard_library()]
        return [text for start in range(97) for text in texts[start::97]]
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines if line.strip()]


def corpora(texts: list[str], count: int, others: int) -> dict[str, list[str]]:
    """``mixed``: the first ``count`` texts as they are; ``others`` texts of each other kind, cut out of them."""
    out = {"mixed": texts[:count]}
    for name, (fewest, most) in _WORDS.items():
        cut = _sentences(texts) if name in ("queries", "sentences") else _joined(texts, most)
        words = (text.split()[:most] for text in cut)
        out[name] = list(islice((" ".join(found) for found in words if len(found) >= fewest), others))
    return out


def _sentences(texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield from re.split(r"(?<=[.!?])\s+", text)


def _joined(texts: list[str], words: int) -> Iterator[str]:
    """Texts put together until they have so many words."""
    waiting: list[str] = []
    for text in texts:
        waiting += text.split()
        if len(waiting) >= words:
            yield " ".join(waiting[:words])
            waiting = []
