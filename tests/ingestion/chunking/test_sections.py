from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedkit.ingestion.chunking.sections import sections


def titles(text):
    return [(text[section.start : section.end].strip(), " > ".join(section.path)) for section in sections(text)]


def test_a_section_knows_the_headings_above_it():
    text = "before\n# A\na\n## B\nb\n### C\nc\n## D\nd\n# E\ne"
    assert titles(text) == [
        ("before", ""),
        ("# A\na", "A"),
        ("## B\nb", "A > B"),
        ("### C\nc", "A > B > C"),
        ("## D\nd", "A > D"),
        ("# E\ne", "E"),
    ]


def test_a_heading_with_nothing_under_it_belongs_to_the_next():
    assert titles("# A\n\n## B\n\nb\n# C\n") == [("# A\n\n## B\n\nb", "A > B"), ("# C", "C")]


def test_code_and_what_only_looks_like_a_heading_are_text():
    text = "# A\n```sh\n# no\n~~~\n# no\n```\n#no\n    # no\n####### no\n~~~~\n# no\n~~~\n# no\n~~~~\n## yes ##\nb"
    assert [path for _, path in titles(text)] == ["A", "A > yes"]
    assert titles("#\ntext") == [("#\ntext", "")]
    assert titles("```\n# never closed") == [("```\n# never closed", "")]


@given(st.lists(st.sampled_from(["# a", "## b", "### c", "text", "", "```", "  ", "~~~"])).map("\n".join))
def test_sections_are_the_text(text):
    found = sections(text)
    assert "".join(text[section.start : section.end] for section in found) == text
    assert all(section.start < section.end for section in found)
