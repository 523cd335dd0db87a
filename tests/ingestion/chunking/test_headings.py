"""Headings of Markdown, against another reader of CommonMark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.chunking.headings import headings


def titles(text: str) -> list[str]:
    return [heading.title for heading in headings(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```code```\n# A", ["A"]),
        ("``` a ` b\n# A", ["A"]),
        ("~~~ a ~~~\n# no\n~~~\n# A", ["A"]),
        ("```\n# no\n``` x\n# no\n```\n# A", ["A"]),
        ("<!-- # no\n# no\n-->\n# A", ["A"]),
        ("<!--\n# no\n\n# no -->\n# A", ["A"]),
        ("<!-->\n# A", ["A"]),
        ("text <!--\n# A\n-->", ["A"]),
        ("<div>\n# no\n</div>\n# no\n\n# A", ["A"]),
        ("<pre>\n\n# no\n</pre>\n# A", ["A"]),
        ("<script>\n\n# no\n</script> x\n# A", ["A"]),
        ("<?php\n# no\n?>\n# A", ["A"]),
        ("<![CDATA[\n# no\n]]>\n# A", ["A"]),
        ("<my-tag a='b'>\n# no\n\n# A", ["A"]),
        ("text\n<my-tag>\n# A", ["A"]),
        ("- ```\n  # no\n  ```\n# A", ["A"]),
        ("- item\n  # no\n\n  # no\n# A", ["A"]),
        ("-\n\n  # A", ["A"]),
        ("- one\nlazy\n  # no\n# A", ["A"]),
        ("1. item\n   # no", []),
        ("text\n2. text\n   # A", ["A"]),
        ("> ```\n# A", ["A"]),
        ("> # no\n# A", ["A"]),
        ("    # no\n\t# no\n   # A", ["A"]),
        ("# A\r## B\r\n### C", ["A", "B", "C"]),
        ("# A #\n## B ## \n# C#\n#\n#no\n####### no", ["A", "B", "C#", ""]),
    ],
)
def test_what_is_a_heading(text: str, expected: list[str]) -> None:
    assert titles(text) == expected


LINES = [
    "# a", "## b #", " # c", "    # e", "text", "", "```", "```x```", "``` js", "~~~", "~~~ a ~~~", "````", "<!-- x", "-->",
    "<!-- # -->", "<div>", "</div>", "<b>", "<custom-tag a='b'>", "<script>", "</script>", "<?php", "?>", "<!DOCTYPE x", "- item",
    "-", "  # in", "  ```", "2. two", "1. one", "   # three", "> q", "> ```", "> # q", "---", "***", "===", "\t# tab", "<![CDATA[",
    "]]>", "* * *", "<pre>x</pre>", "</p >", "#", "#no", "<!-->", "+     code", "-\t# t", "10) x", ">> - # x", "> - a", "  > b",
]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=9).map("\n".join))
def test_they_are_those_of_another_reader(text: str) -> None:
    reader = pytest.importorskip("markdown_it").MarkdownIt("commonmark")
    tokens = reader.parse(text)
    expected = [
        (token.map[0], int(token.tag[1]), tokens[i + 1].content)
        for i, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.markup.startswith("#")
    ]
    assert [(text.count("\n", 0, one.start), one.level, one.title) for one in headings(text)] == expected


@pytest.mark.parametrize(
    "text", [">" * 50_000, "- " * 20_000 + "x", "<!--\n" * 20_000, "<a " + "b " * 20_000, "* " * 20_000]
)
def test_nothing_is_too_deep_or_too_long(text: str) -> None:
    assert titles(f"{text}\n\n# A") in ([], ["A"])
