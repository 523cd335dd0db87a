from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from embedkit import InputError
from embedkit.retrieval.sheets.cells import EDGE, Cell, Sheet
from embedkit.retrieval.sheets.drawing import drawn

GREEN = Image.new("RGB", (EDGE, EDGE // 2), (0, 200, 0))


def colors(picture: object) -> set[tuple[int, ...]]:
    return {tuple(color) for color in np.asarray(picture).reshape(-1, 3).tolist()}


def test_cells_stand_in_rows_of_six_with_the_query_framed() -> None:
    query = Cell(GREEN, "", "query", ("q.png",), query=True)
    hits = [Cell(GREEN, "", f"{i}.", (f"id {i}",)) for i in range(1, 8)]
    one, two = drawn(Sheet(((query, *hits[:2]),))), drawn(Sheet(((query, *hits),)))
    assert two.width > one.width
    assert two.height > 1.9 * one.height - 20
    found = np.asarray(one)
    assert (found[14 + EDGE // 2, 14 + EDGE // 2] == (0, 200, 0)).all(), "in the middle of its place"
    assert (found[14 + 10, 14 + 10] == (240, 240, 240)).all(), "a mat around it"
    red = (found == (200, 40, 40)).all(axis=2)
    assert red[:, :EDGE].any()
    assert not red[:, 14 + EDGE + 8 :].any(), "hits have no frame"


def test_long_and_strange_words_stay_in_their_cell() -> None:
    long = "photos/" + "x" * 400 + "/ende.jpg"
    lines = (long, "wörter 語 " * 60)
    alone = drawn(Sheet(((Cell(GREEN, "", "1.   0.5", lines),),)))
    assert np.asarray(alone)[:, -8:].min() == 255
    pair = drawn(Sheet(((Cell(None, "missing: " + "y" * 500, "1.", lines), Cell(GREEN, "", "2.", ())),)))
    assert (np.asarray(pair)[14 : 14 + EDGE, 14 + EDGE + 1 : 14 + EDGE + 13] == 255).all(), "nothing between the cells"
    assert (200, 40, 40) in colors(pair)


def test_a_query_in_words_and_no_hits() -> None:
    words = drawn(Sheet(((Cell(None, "", "query", ("a cat on a wall",), query=True),),)))
    assert (24, 24, 24) in colors(words)
    assert drawn(Sheet(())).size[0] > EDGE


def test_more_than_a_picture_holds_is_refused() -> None:
    with pytest.raises(InputError, match=r"too high for a PNG.*\.html"):
        drawn(Sheet(tuple((Cell(None, "", "query", ("q",), query=True),) for _ in range(201))))
