from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("PIL")

from PIL import Image

from embedkit.retrieval.sheets.cells import Cell, Sheet
from embedkit.retrieval.sheets.page import html_page

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;"


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


def test_everything_is_inside_and_escaped() -> None:
    green = Image.new("RGB", (40, 20), (0, 200, 0))
    cells = (
        Cell(None, "", "query", (EVIL,), query=True),
        Cell(green, "", "1.   0.5", (EVIL, EVIL)),
        Cell(None, EVIL, "2.   0.4", ("id",)),
    )
    page = html_page(Sheet((cells,)))
    seen = Seen()
    seen.feed(page)
    tags = [tag for tag, _ in seen.tags]
    assert "script" not in tags
    assert tags.count("img") == 1
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    (source,) = [attributes["src"] for tag, attributes in seen.tags if tag == "img"]
    assert source is not None
    data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (40, 20)
    assert seen.said.count(EVIL) == 4
    assert not re.search(r"(?:href|src)=\"(?!data:)", page), "nothing is fetched"
    assert "default-src 'none'" in page
