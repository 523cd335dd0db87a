"""What a contact sheet shows: for each query a row of cells, each with a small picture and what is said of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedkit.records.documents import Hit
from embedkit.runtime.frontends.image.colors import eight_bits, three_colors
from embedkit.runtime.frontends.image.pixels import as_picture
from embedkit.runtime.frontends.media import Undecodable

EDGE = 224
"""Pixels of the longer edge of a small picture, at most."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A small picture (`PIL.Image.Image` in RGB, upright), or the ``missing`` reason why there is none; a bold ``head`` and
    ``lines`` below."""

    picture: Any
    missing: str
    head: str
    lines: tuple[str, ...]
    query: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A row of cells for each query: the query, and its hits in order."""

    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(
        cls,
        queries: Sequence[object],
        answers: Sequence[Iterable[Hit]],
        *,
        root: Path | None = None,
        first: int = 1,
    ) -> Sheet:
        """The sheet of the ``answers`` to ``queries``, which are texts, or pictures as `Encoder.encode_image` takes them. A hit's
        picture is read from its ``uri``, below ``root`` where that is relative; ``first`` is the rank of the first hit."""
        rows = []
        for query, hits in zip(queries, answers, strict=True):
            found = [_of_hit(hit, rank, root) for rank, hit in enumerate(hits, start=first)]
            rows.append((_of_query(query), *found))
        return cls(tuple(rows))


def one_plain_line(text: str) -> str:
    """``text`` on one line, without characters that only steer what shows them."""
    line = " ".join(text.split())
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in line)


def picture_path(uri: str, root: Path | None) -> Path:
    """The file of a row's ``uri``: below ``root`` where that is relative."""
    return Path(uri) if root is None else root / uri


def _of_query(query: object) -> Cell:
    if isinstance(query, str):
        return Cell(None, "", "query", (one_plain_line(query),), query=True)
    small, reason = _small(query)
    name = one_plain_line(str(query)) if isinstance(query, Path) else ""
    return Cell(small, reason, "query", (name,) if name else (), query=True)


def _of_hit(hit: Hit, rank: int, root: Path | None) -> Cell:
    uri = hit.metadata.get("uri")
    small, reason = (None, "no picture: the row has no uri")
    if isinstance(uri, str) and uri:
        small, reason = _small(picture_path(uri, root))
    lines = (
        (one_plain_line(hit.id),) if hit.text in (hit.id, "") else (one_plain_line(hit.id), one_plain_line(hit.text))
    )
    return Cell(small, reason, f"{rank}.   {hit.score:.4f}", lines)


def _small(item: object) -> tuple[Any, str]:
    """A picture of at most `EDGE` by `EDGE` pixels, upright, transparency on white; or None and the reason."""
    try:
        if isinstance(item, Path) and not item.exists():
            return None, f"missing: {item} is not there"
        picture = three_colors(eight_bits(as_picture(item)), "white")
        picture.thumbnail((EDGE, EDGE))
    except Undecodable as error:
        return None, one_plain_line(str(error))
    except OSError as error:
        return None, one_plain_line(f"missing: {item} cannot be read ({error.strerror or error})")
    except MemoryError:
        return None, "too little memory to decode it"
    return picture, ""
