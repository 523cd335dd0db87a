from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit.bundle.manifest import Part
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import write_manifest
from embedkit.encoders.encoder import Encoder
from embedkit.errors import InputError
from embedkit.ingestion import BadRow, Chunking, chunked, ingest
from embedkit.ingestion.chunking.places import chunk_id, place_of
from embedkit.records.documents import Document
from embedkit.testing.tiny import tiny_bundle

TEXT = "A first sentence is here. " * 12


def chunks(documents, encoder, *options, **more):
    return list(chunked(documents, encoder, Chunking(*options, **more)))


def test_chunks_are_substrings_with_ids_places_and_metadata(encoder):
    found = chunks([Document("doc", TEXT, {"year": 2020})], encoder, 40)
    assert [row.id for row in found] == [f"doc#{number}" for number in range(len(found))]
    assert len(found) > 5
    for number, row in enumerate(found):
        about = dict(row.metadata)
        assert row.text == TEXT[about.pop("start") : about.pop("end")]
        assert about == {"year": 2020, "source": "doc", "chunk": number, "chunks": len(found)}


def test_a_short_document_is_one_chunk(encoder):
    (row,) = chunks([Document("doc", " short ")], encoder)
    assert (row.id, row.text) == ("doc#0", "short")
    assert row.metadata == {"source": "doc", "chunk": 0, "chunks": 1, "start": 1, "end": 6}


def test_the_model_reads_every_chunk_whole(bundle, store, tmp_path):
    long = [Document(f"d{i}", TEXT * 3 + "日本語 🎉" * i) for i in range(5)]
    for prefix in ("", "passage: "):
        folder = tiny_bundle(tmp_path / f"b{len(prefix)}", prefixes={"document": prefix})
        encoder = Encoder.load(folder, variant="fp32", on_truncate="error")
        report = ingest(chunked(long, encoder), encoder, store, collection=f"docs{len(prefix)}")
        assert (report.dead, report.truncated) == (0, 0)
        assert max(len(row.text.encode()) for row in chunked(long, encoder)) > 62 - len(prefix) - 25


def test_by_headings(encoder):
    text = "intro\n\n# Guide\n\n## Install\n\nRun it.\n\n## Use\n\nUse it."
    found = chunks([Document("doc", text)], encoder, 60, by="headings")
    assert [(row.text, row.metadata["headings"]) for row in found] == [
        ("intro", ""),
        ("# Guide\n\n## Install\n\nRun it.", "Guide > Install"),
        ("## Use\n\nUse it.", "Guide > Use"),
    ]


def test_metadata_of_the_same_name_are_kept_beside(encoder):
    (row,) = chunks([Document("doc", "text", {"source": "wiki", "end": 7, "start": None})], encoder)
    assert row.metadata["source"] == "doc"
    assert {key: row.metadata[f"document.{key}"] for key in ("source", "end", "start")} == {
        "source": "wiki",
        "end": 7,
        "start": None,
    }
    (bad,) = chunks([Document("doc", "text", {"chunk": 1, "document.chunk": 2})], encoder)
    assert "'document.chunk' is taken" in bad.reason


def test_bad_rows_and_chunks_pass_and_bad_documents_are_bad_rows(encoder):
    bad = BadRow("s", 1, "broken", "row")
    chunk = chunks([Document("a", TEXT)], encoder, 40)[2]
    assert chunks([bad, chunk], encoder, 20) == [bad, chunk]
    for document in (Document("x", " "), Document("x", None), Document(5, "t"), Document("x", "t", {"a": {1}})):
        (row,) = chunks([document], encoder)
        assert isinstance(row, BadRow)
    (tiny,) = chunks([Document("x", "🎉")], encoder, 2)
    assert "choose larger chunks" in tiny.reason


def test_an_id_that_comes_twice_is_a_duplicate_or_a_bad_row(encoder, store):
    rows = [Document("a", TEXT), Document("a", TEXT), Document("a", TEXT * 2)]
    count = len(chunks(rows[:1], encoder, 40))
    report = ingest(chunked(rows, encoder, Chunking(40)), encoder, store, collection="docs")
    assert (report.written, report.duplicates, report.dead) == (count, count, 1)


def test_fields_of_the_template_count(store, tmp_path):
    folder = tiny_bundle(tmp_path / "bundle")
    manifest = read_manifest((folder / "embedkit.json").read_bytes(), "manifest")
    template = [Part(field="title"), Part(lit=": "), Part(field="text")]
    tower = manifest.towers["document"]
    changed = msgspec.structs.replace(tower, frontend=msgspec.structs.replace(tower.frontend, template=template))
    write_manifest(folder, msgspec.structs.replace(manifest, towers={**manifest.towers, "document": changed}))
    encoder = Encoder.load(folder, variant="fp32", on_truncate="error")
    rows = [Document("a", TEXT, {"title": "short"}), Document("b", TEXT, {"title": "x" * 40}), Document("c", TEXT)]
    report = ingest(chunked(rows, encoder), encoder, store, collection="docs")
    assert (report.dead, report.truncated) == (1, 0)
    longest = {name: max(len(row.text) for row in chunked(rows, encoder) if row.id[0] == name) for name in "ab"}
    assert longest["b"] <= 20 < longest["a"] <= 55
    (full,) = chunked([Document("d", TEXT, {"title": "x" * 70})], encoder)
    assert "nothing is left for the text" in full.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "chunk size: expected an integer of at least 1, found 0"),
        ({"size": True}, "found True"),
        ({"size": 1.5}, "found 1.5"),
        ({"size": 10, "overlap": 10}, "expected less than the size 10, found 10"),
        ({"overlap": -1}, "chunk overlap"),
        ({"by": "pages"}, "chunk by: expected one of tokens, sentences, headings, seconds, found 'pages'"),
        ({"size": 63}, "reads 64 tokens, of which 2 are its own; expected at most 62, found 63"),
        ({"overlap": 62}, "expected less than the size 62, found 62"),
    ],
)
def test_what_cannot_be_is_refused_at_once(encoder, options, message):
    with pytest.raises(InputError, match=message):
        chunks([], encoder, **options)


SOURCES = st.text("a#0/", min_size=1, max_size=4)


@given(SOURCES, st.integers(0, 12), SOURCES, st.integers(0, 12))
def test_ids_of_chunks_never_meet(first, i, second, j):
    assert (chunk_id(first, i) == chunk_id(second, j)) == ((first, i) == (second, j))


@settings(deadline=None, max_examples=50)
@given(
    st.text("ab .\n#é🎉", max_size=300), st.integers(8, 62), st.integers(0, 7), st.sampled_from(["tokens", "headings"])
)
def test_places_are_known_again(encoder, text, size, overlap, by):
    found = [row for row in chunks([Document("x#1", text)], encoder, size, overlap, by) if not isinstance(row, BadRow)]
    assert bool(found) == bool(text.strip())
    for number, row in enumerate(found):
        place = place_of(row.id, row.metadata)
        assert place is not None
        assert (place.source, place.number, place.count) == ("x#1", number, len(found))
        assert len(row.text.encode()) <= size
    assert place_of("x", {"source": "x", "chunk": 0, "chunks": 1}) is None
    assert place_of("x#0", {"source": "x", "chunk": 0}) is None
    assert place_of("x#1", {"source": "x", "chunk": True, "chunks": 2}) is None
