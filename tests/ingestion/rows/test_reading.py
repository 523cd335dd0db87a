"""One pass over a source: each row is usable, a repetition or bad, and none is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit import InputError
from embedkit.bundle.manifest import ComposedFrontend, IdsFrontend, ImageFrontend
from embedkit.ingestion import FileRows
from embedkit.ingestion.rows import reading as module
from embedkit.ingestion.rows.reading import SourceReader
from embedkit.ingestion.rows.row import BadRow
from embedkit.records.documents import Document
from embedkit.records.metadata import content_hash
from embedkit.runtime.frontends.composed import ComposedModality

ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.sampled_from(["x", "y", " "])), max_size=20)


@given(ROWS, st.integers(1, 5))
def test_every_row_is_usable_repeated_or_bad(rows, most):
    bad, repeated, first = [], [], {}
    expected = []
    for row_id, text in rows:
        if row_id and text.strip() and row_id not in first:
            first[row_id] = text
            expected.append((row_id, text))
    with SourceReader(
        [Document(*row) for row in rows], on_bad_row=bad.append, on_duplicate=lambda: repeated.append(1)
    ) as reading:
        windows = list(reading.windows(lambda: most))
        fresh = [row for window in windows for row in window]
        assert [(document.id, document.text) for document, _ in fresh] == expected
        assert all(digest == content_hash(document.text, document.metadata) for document, digest in fresh)
        assert all(len(window) <= most for window in windows)
        assert all(len(window) == most for window in windows[:-1])
        assert reading.read == len(rows) == len(fresh) + len(bad) + len(repeated)
        assert (reading.bad, reading.duplicates) == (len(bad), len(repeated))
        assert reading.nameless == sum(not row_id for row_id, _ in rows)
        assert dict(reading.ledger.unmet()).keys() == first.keys()


def test_another_content_of_an_id_is_told_with_the_place_of_the_first():
    bad = []
    with SourceReader([Document("a", "x"), Document("a", "y"), Document("a", "x")], on_bad_row=bad.append) as reading:
        list(reading.windows(lambda: 9))
        assert reading.duplicates == 1
    (row,) = bad
    assert row.reason == "duplicate id with other content: the row of documents, line 1 was kept"
    assert (row.id, row.line) == ("a", 2)


def test_bad_rows_of_a_reader_are_spared_in_the_collection():
    rows = [BadRow("f", 1, "why", "x", "known"), BadRow("f", 2, "why", "x"), BadRow("f", 3, "why", "x", "a\0b")]
    with SourceReader(rows) as reading:
        assert list(reading.windows(lambda: 9)) == []
        assert (reading.bad, reading.nameless) == (3, 1)
        assert reading.ledger.spared(["known", "a\0b", "other"]) == {"known"}


def test_metadata_are_converted_by_the_policy():
    rows = [Document("a", "x", {"s": {1, 2}, "n": float("nan")})]
    with SourceReader(rows) as reading:
        assert list(reading.windows(lambda: 9)) == []
        assert reading.bad == 1
    with SourceReader(rows, metadata_policy="json") as reading:
        (((document, digest),),) = reading.windows(lambda: 9)
        assert document.metadata["n"] is None
        assert digest == content_hash("x", document.metadata)


def test_a_row_of_what_is_no_text_needs_none(tmp_path):
    frontend = ComposedFrontend(
        parts={"image": ImageFrontend(size=[8, 8], steps=[]), "ids": IdsFrontend(size=9, max=4)}
    )
    modality = ComposedModality(frontend, [])
    about = {"image": "cat.jpg", "ids": [1, 2]}
    rows = [
        Document("a", "", about),
        {"id": "b", **about},
        Document("c", "1 2", {"image": "cat.jpg"}),
        Document("d", " ", {"image": "cat.jpg"}),  # whose ids would be those of its text
        {"id": "e", "ids": [3], "uri": "cat.jpg"},
        Document("f", "said", about),
    ]
    bad = []
    with SourceReader(rows, modality=modality, on_bad_row=bad.append) as reading:
        (window,) = reading.windows(lambda: 99)
    assert {document.id: document.text for document, _ in window} == {
        "a": "a", "b": "b", "c": "1 2", "e": "e", "f": "said",
    }  # fmt: skip
    assert [(row.id, row.reason) for row in bad] == [("d", "text: expected some text, found only whitespace")]
    (tmp_path / "rows.csv").write_text("id,image,ids\ng,cat.jpg,1 2\n")
    with SourceReader(FileRows([tmp_path / "rows.csv"]), modality=modality) as reading:
        (((document, digest),),) = reading.windows(lambda: 99)
    assert (document.id, document.text) == ("g", "g")
    assert digest == content_hash("g", {"image": "cat.jpg", "ids": "1 2"})
    with (
        pytest.raises(InputError, match="no column 'text'"),
        SourceReader(FileRows([tmp_path / "rows.csv"])) as reading,
    ):
        list(reading.windows(lambda: 99))


def test_long_texts_end_a_window_early(monkeypatch):
    monkeypatch.setattr(module, "_WINDOW_CHARACTERS", 10)
    rows = [Document(str(i), "text") for i in range(7)]
    with SourceReader(rows) as reading:
        assert [len(window) for window in reading.windows(lambda: 100)] == [3, 3, 1]
