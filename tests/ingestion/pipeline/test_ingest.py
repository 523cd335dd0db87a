from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from embedkit.bundle.manifest import Part
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import write_manifest
from embedkit.encoders.encoder import Encoder
from embedkit.errors import CollectionMismatchError, InputError, StoreError, TransientStoreError, TruncationWarning
from embedkit.ingestion import FileRows, IngestInterrupted, IngestReport, check, chunked, estimate, ingest
from embedkit.ingestion.pipeline.report import IngestError
from embedkit.ingestion.rows import reading
from embedkit.records.documents import Document
from embedkit.testing.tiny import tiny_bundle


def documents(n, **changed):
    return [Document(f"d{i}", changed.get(f"d{i}", f"text {i}"), {"n": i}) for i in range(n)]


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def counts(report: IngestReport) -> dict[str, int]:
    names = ("read", "written", "unchanged", "duplicates", "dead", "encoded", "truncated")
    return {name: value for name in names if (value := getattr(report, name))}


def test_documents_are_encoded_and_written(encoder, store, faulty):
    report = ingest(documents(1300), encoder, store, collection="docs")
    assert counts(report) == {"read": 1300, "written": 1300, "encoded": 1300}
    rows = store.open("docs").get(["d0", "d700", "d1299"], with_vectors=True)
    assert [row.text for row in rows] == ["text 0", "text 700", "text 1299"]
    assert [row.metadata for row in rows] == [{"n": 0}, {"n": 700}, {"n": 1299}]
    alone = encoder.encode_document([row.text for row in rows])
    assert np.stack([row.vector for row in rows]).tobytes() == alone.tobytes()
    assert store.open("docs").info.fingerprint == encoder.fingerprint
    assert faulty.written == [f"d{i}" for i in range(1300)]


def test_a_second_run_encodes_and_writes_nothing_and_ten_changed_rows_ten(encoder, store, faulty):
    ingest(documents(1000), encoder, store, collection="docs")
    faulty.batches.clear()
    assert counts(ingest(documents(1000), encoder, store, collection="docs")) == {"read": 1000, "unchanged": 1000}
    assert faulty.batches == []
    changed = {f"d{i}": f"changed {i}" for i in range(0, 1000, 100)}
    report = ingest(documents(1000, **changed), encoder, store, collection="docs")
    assert counts(report) == {"read": 1000, "unchanged": 990, "written": 10, "encoded": 10}
    assert faulty.written == list(changed)


def test_changed_metadata_is_a_change(encoder, store):
    def about(value):
        return [Document("a", "t", {"at": value})]

    ingest(about(1), encoder, store, collection="docs")
    assert ingest(about("1"), encoder, store, collection="docs").written == 1
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    assert ingest(about(moment), encoder, store, collection="docs").written == 1
    assert ingest(about(moment), encoder, store, collection="docs").unchanged == 1


def test_no_documents_make_an_empty_collection(encoder, store):
    assert counts(ingest([], encoder, store, collection="docs")) == {}
    assert store.open("docs").count() == 0


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (Document("bad", ""), "text: expected some text, found an empty string"),
        (Document("bad", " \t\n\u3000"), "found only whitespace"),
        (Document("bad", "lone \ud83d surrogate"), "lone surrogate U+D83D at character 5"),
        (Document("bad", None), "text: expected a string, found NoneType"),
        (Document("bad", 5), "text: expected a string, found int"),
        (Document("bad", b"bytes"), "text: expected a string, found bytes"),
        (Document("", "t"), "id: expected a non-empty string"),
        (Document(7, "t"), "id: expected a non-empty string, found int"),
        (Document(None, "t"), "id: expected a non-empty string, found NoneType"),
        (Document("a\0b", "t"), "id: holds a NUL character"),
        (Document("\ud800", "t"), "id: lone surrogate"),
        (Document("bad", "t", {"x": object()}), "metadata.x: cannot store a object"),
        (Document("bad", "t", {1: 2}), "metadata: expected string keys"),
        (Document("bad", "t", {"x": "\udfff"}), "metadata.x: lone surrogate"),
        (Document("bad", "t", [1]), "metadata: expected a mapping"),
    ],
)
def test_a_bad_document_costs_no_other(encoder, store, faulty, tmp_path, document, reason):
    good = documents(2)
    report = ingest([good[0], document, good[1]], encoder, store, collection="docs")
    assert counts(report) == {"read": 3, "written": 2, "encoded": 2, "dead": 1}
    assert set(faulty.texts) == {"d0", "d1"}
    (letter,) = letters(tmp_path / "docs.dead.jsonl")
    assert reason in letter["reason"]
    assert (letter["source"], letter["line"]) == ("documents", 2)
    assert report.dead_letters == "docs.dead.jsonl"


def test_odd_but_good_documents_are_kept(encoder, store, faulty):
    odd = [
        Document("nul in text", "a\0b"),
        Document("one MB", "word " * 200_000),
        Document("日本語 🎉", "héllo", {"nan": math.nan, "nested": {"a": [1, None]}}),
        Document(" ", "a space is an id"),
    ]
    assert ingest(odd, encoder, store, collection="docs").written == 4
    assert faulty.texts == {document.id: document.text for document in odd}
    assert ingest(odd, encoder, store, collection="docs").unchanged == 4


def test_lone_surrogates_and_broken_lines_of_a_file(encoder, store, faulty, tmp_path):
    path = tmp_path / "docs.jsonl"
    lines = ['{"id": 1, "text": "good"}', '{"id": 2, "text": "\\ud800"}', "{broken", '{"id": 3, "text": "good too"}']
    path.write_text("\n".join(lines))
    report = ingest(FileRows([path]), encoder, store, collection="docs")
    assert counts(report) == {"read": 4, "written": 2, "encoded": 2, "dead": 2}
    found = letters(tmp_path / "docs.dead.jsonl")
    assert [(letter["source"], letter["line"], letter["row"]) for letter in found] == [
        (str(path), 2, lines[1]),
        (str(path), 3, lines[2]),
    ]
    path.write_text("\n".join([lines[0], lines[3]]))
    assert ingest(FileRows([path]), encoder, store, collection="docs").dead_letters is None
    assert not (tmp_path / "docs.dead.jsonl").exists()


def test_something_that_is_no_document_is_refused(encoder, store):
    with pytest.raises(InputError, match=r"expected embedkit.Document, a mapping .* found bytes as number 2"):
        ingest([*documents(1), b"t"], encoder, store, collection="docs")


def test_mappings_and_strings_are_documents(encoder, store, faulty, tmp_path):
    rows = [{"id": 7, "text": "a mapping", "year": 2020}, "a string", {"id": "no text"}, "a string"]
    assert counts(ingest(rows, encoder, store, collection="docs")) == {
        "read": 4,
        "written": 2,
        "encoded": 2,
        "duplicates": 1,
        "dead": 1,
    }
    assert store.open("docs").get(["7"])[0].metadata == {"year": 2020}
    assert faulty.texts[hashlib.sha256(b"a string").hexdigest()[:32]] == "a string"
    (letter,) = letters(tmp_path / "docs.dead.jsonl")
    assert (letter["row"], letter["format"], letter["id"]) == ('{"id": "no text"}', "jsonl", "no text")


def test_a_repeated_id_is_a_duplicate_or_a_bad_row(encoder, store, faulty, tmp_path):
    rows = [*documents(600), Document("d3", "text 3", {"n": 3}), Document("d5", "other"), Document("d5", "text 5")]
    report = ingest(rows, encoder, store, collection="docs")
    assert counts(report) == {"read": 603, "written": 600, "encoded": 600, "duplicates": 1, "dead": 2}
    assert faulty.texts["d5"] == "text 5"
    assert [letter["line"] for letter in letters(tmp_path / "docs.dead.jsonl")] == [602, 603]
    assert "the row of documents, line 6 was kept" in letters(tmp_path / "docs.dead.jsonl")[0]["reason"]
    again = ingest(rows, encoder, store, collection="docs")
    assert counts(again) == {"read": 603, "unchanged": 600, "duplicates": 1, "dead": 2}


def test_each_distinct_text_of_a_window_is_encoded_once(encoder, store):
    rows = [Document(str(i), f"text {i % 10}") for i in range(500)]
    before = encoder.stats.texts
    report = ingest(rows, encoder, store, collection="docs", window=500)
    assert (report.written, report.encoded, encoder.stats.texts - before) == (500, 10, 10)
    vectors = np.stack([row.vector for row in store.open("docs").get(["7", "17"], with_vectors=True)])
    assert vectors[0].tobytes() == vectors[1].tobytes()


def test_windows_are_bounded_by_rows_and_by_characters(encoder, store, faulty, monkeypatch):
    monkeypatch.setattr(reading, "_WINDOW_CHARACTERS", 100)
    long = [Document(f"l{i}", f"{i} " + "x" * 60) for i in range(4)]
    ingest([*documents(5), *long], encoder, store, collection="docs", window=4)
    assert [len(batch) for batch in faulty.batches] == [4, 3, 2]


def test_truncation_is_counted_and_said(bundle, store):
    rows = [Document("short", "s"), Document("long", "x" * 1000), Document("longer", "x" * 2000)]
    with pytest.warns(TruncationWarning, match="2 of 3 texts were longer than the 64 tokens"):
        report = ingest(rows, Encoder.load(bundle), store, collection="docs")
    assert report.truncated == 2
    assert "2 texts were longer" in str(report)


def test_where_truncation_is_an_error_it_is_one_rows_error(bundle, store, faulty, tmp_path):
    rows = [Document("short", "s"), Document("long", "x" * 1000), Document("last", "t")]
    report = ingest(rows, Encoder.load(bundle, on_truncate="error"), store, collection="docs")
    assert counts(report) == {"read": 3, "written": 2, "encoded": 2, "dead": 1}
    assert "longer than the 64 tokens" in letters(tmp_path / "docs.dead.jsonl")[0]["reason"]


def test_a_vector_that_is_no_number_is_one_rows_error(encoder, store, faulty, tmp_path, monkeypatch):
    real = encoder.encode_outputs

    def encode_outputs(texts, **options):
        values = real(texts, **options)
        values["dense"][[text == "text 1" for text in texts]] = np.nan
        return values

    monkeypatch.setattr(encoder, "encode_outputs", encode_outputs)
    assert ingest(documents(3), encoder, store, collection="docs").written == 2
    assert "NaN" in letters(tmp_path / "docs.dead.jsonl")[0]["reason"]


def test_a_row_that_the_store_refuses_is_a_dead_letter(encoder, store, faulty, tmp_path):
    def fault(batch):
        if "d700" in batch.ids:
            raise StoreError("this row is too large")

    faulty.fault = fault
    report = ingest(documents(1000), encoder, store, collection="docs")
    assert counts(report) == {"read": 1000, "written": 999, "encoded": 1000, "dead": 1}
    (letter,) = letters(tmp_path / "docs.dead.jsonl")
    assert (letter["id"], letter["reason"]) == ("d700", "refused by the store: this row is too large")
    assert json.loads(letter["row"]) == {"id": "d700", "text": "text 700", "metadata": {"n": 700}}


def test_a_store_that_fails_ends_the_run_with_what_was_written(encoder, store, faulty, tmp_path):
    def fault(batch):
        if "d300" in faulty.written:
            raise StoreError("disk full")

    faulty.fault = fault
    with pytest.raises(IngestError, match="disk full; 512 rows were written and stay") as caught:
        ingest(documents(5000), encoder, store, collection="docs")
    assert caught.value.report.written == len(faulty.written) == 512
    assert caught.value.report.read < 5000, "the error came late"
    assert isinstance(caught.value.__cause__, StoreError)
    assert not (tmp_path / "docs.dead.jsonl").exists()
    faulty.fault = lambda batch: None
    assert counts(ingest(documents(5000), encoder, store, collection="docs"))["unchanged"] == 512
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedkit-writer")]


def test_a_short_failure_is_not_noticed(encoder, store, faulty, monkeypatch):
    monkeypatch.setattr(
        "embedkit.stores.writer.Retry.wait", lambda self, attempt, asked: 0.001 if attempt < 5 else None
    )
    failing = iter(range(4))

    def fault(batch):
        if next(failing, None) is not None:
            raise TransientStoreError("overloaded")

    faulty.fault = fault
    assert ingest(documents(1000), encoder, store, collection="docs").written == 1000


def test_an_error_in_the_source_leaves_what_was_written(encoder, store, faulty):
    def source():
        yield from documents(2000)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        ingest(source(), encoder, store, collection="docs", window=512)
    kept = len(faulty.written)
    assert kept % 512 == 0
    assert ingest(documents(2000), encoder, store, collection="docs").unchanged == kept


def test_ctrl_c_tells_the_truth(encoder, store, faulty):
    def source():
        yield from documents(1600)
        raise KeyboardInterrupt

    faulty.fault = lambda batch: time.sleep(0.05)
    with pytest.raises(IngestInterrupted) as caught:
        ingest(source(), encoder, store, collection="docs")
    report = caught.value.report
    assert report.written == len(faulty.written) == len(faulty.texts) > 0
    assert report.read == 1600
    rest = ingest(documents(1600), encoder, store, collection="docs")
    assert (rest.unchanged, rest.written) == (report.written, 1600 - report.written)


def test_encoding_goes_on_while_the_store_writes(encoder, store, faulty):
    events = []
    faulty.fault = lambda batch: (events.append("write"), time.sleep(0.2), events.append("written"))
    source = (events.append("read") or document for document in documents(4))
    ingest(source, encoder, store, collection="docs", window=1)
    assert events.index("written") > [i for i, event in enumerate(events) if event == "read"][1]


def test_memory_is_bounded_by_the_store_that_is_slow(encoder, store, faulty):
    ahead = []
    read = 0

    def source():
        nonlocal read
        for document in documents(40):
            read += 1
            yield document

    def fault(batch):
        time.sleep(0.01)
        ahead.append(read - len(faulty.written))

    faulty.fault = fault
    ingest(source(), encoder, store, collection="docs", window=1)
    assert max(ahead) <= 5


def test_a_collection_of_another_model_is_refused(encoder, store, tmp_path):
    other = Encoder.load(tiny_bundle(tmp_path / "other", seed=1))
    ingest(documents(2), other, store, collection="docs")
    with pytest.raises(CollectionMismatchError, match="another model's vectors"):
        ingest(documents(2), encoder, store, collection="docs")


def test_a_collection_of_another_dimension_is_refused(encoder, store, tmp_path):
    ingest(documents(2), Encoder.load(tiny_bundle(tmp_path / "other", dim=4)), store, collection="docs")
    with pytest.raises(CollectionMismatchError, match="dim: it was made for 4, found 8"):
        ingest(documents(2), encoder, store, collection="docs")


def test_two_variants_of_one_model_share_a_collection(bundle, encoder, store):
    ingest(documents(2), encoder, store, collection="docs")
    assert ingest(documents(3), Encoder.load(bundle, variant="int8"), store, collection="docs").written == 1


def test_options_are_checked_before_any_work(encoder, store):
    with pytest.raises(InputError, match="window: expected a positive integer, found 0"):
        ingest([], encoder, store, collection="docs", window=0)
    with pytest.raises(InputError, match="role: this bundle has default, query, document, found 'dokument'"):
        ingest([], encoder, store, collection="docs", role="dokument")
    with pytest.raises(InputError, match="metric"):
        ingest([], encoder, store, collection="docs", metric="l2")
    with pytest.raises(InputError, match="collection name"):
        ingest([], encoder, store, collection="")
    assert store.names() == []


def test_the_role_is_that_of_documents(store, tmp_path):
    prefixed = Encoder.load(tiny_bundle(tmp_path / "b", prefixes={"document": "passage: ", "query": "query: "}))
    ingest([Document("a", "t")], prefixed, store, collection="docs")
    (row,) = store.open("docs").get(["a"], with_vectors=True)
    assert row.text == "t"
    assert row.vector.tobytes() == prefixed.encode("passage: t").tobytes() != prefixed.encode("t").tobytes()


def test_a_bar_is_drawn_only_when_asked_for(encoder, store, capsys, tmp_path):
    ingest(documents(5), encoder, store, collection="docs")
    ingest(documents(5), encoder, store, collection="docs", progress=None)
    assert capsys.readouterr().err == ""
    ingest(documents(5), encoder, store, collection="docs", progress=True)
    assert "5/5" in capsys.readouterr().err


def test_the_report_can_be_read_by_both(encoder, store):
    report = ingest(documents(3), encoder, store, collection="docs")
    whole = json.loads(report.to_json())
    assert {key: whole[key] for key in ("collection", "read", "written")} == {
        "collection": "docs",
        "read": 3,
        "written": 3,
    }
    assert whole["documents_per_second"] > 0
    assert "3 read, 3 written" in str(report)


def test_fields_of_the_template_come_from_the_metadata(store, tmp_path):
    folder = tiny_bundle(tmp_path / "bundle")
    manifest = read_manifest((folder / "embedkit.json").read_bytes(), "manifest")
    template = [Part(field="title"), Part(lit=": "), Part(field="text"), Part(field="place", default=" (nowhere)")]
    tower = manifest.towers["document"]
    changed = msgspec.structs.replace(tower, frontend=msgspec.structs.replace(tower.frontend, template=template))
    write_manifest(folder, msgspec.structs.replace(manifest, towers={**manifest.towers, "document": changed}))
    encoder = Encoder.load(folder, variant="fp32", on_truncate="ignore")
    rows = [
        Document("a", "bread", {"title": "food", "year": 1}),
        Document("b", "bread", {"title": "trade", "place": " (here)"}),
        Document("c", "bread", {"year": 2}),
        Document("d", "bread", {"title": 7}),
    ]
    report = ingest(rows, encoder, store, collection="docs")
    assert (report.written, report.dead, report.encoded) == (2, 2, 2)
    stored = {row.id: row.vector for row in store.open("docs").get(["a", "b"], with_vectors=True)}
    plain = Encoder.load(folder, variant="fp32", on_truncate="ignore")
    for name, text in (("a", "food: bread (nowhere)"), ("b", "trade: bread (here)")):
        assert stored[name].tobytes() == plain.encode(text, role="default").tobytes()
    reasons = {row["id"]: row["reason"] for row in letters(tmp_path / "docs.dead.jsonl")}
    assert "the field 'title' is missing" in reasons["c"]
    assert "field 'title': expected a string, found int" in reasons["d"]


@pytest.mark.parametrize("given", ["docs.jsonl", b"docs", {"id": "a", "text": "t"}, Document("a", "t"), 7, None])
def test_what_is_no_source_is_refused_before_anything_is_made(encoder, store, given):
    """The letters of a path, and the keys of a mapping, were documents."""
    for call in (ingest, check, estimate):
        with pytest.raises(InputError, match="documents: expected an iterable of documents, found"):
            call(given, encoder, store, collection="docs")
    with pytest.raises(InputError, match="documents: expected"):
        chunked(given, encoder)
    assert store.names() == []


def test_a_data_frame_is_refused_and_its_rows_are_taken(encoder, store):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": [1, 2], "text": ["one", "two"], "n": [0.5, None]})
    with pytest.raises(InputError, match=r"found DataFrame, which gives the names of its columns.*to_dict"):
        ingest(frame, encoder, store, collection="docs")
    assert store.names() == []
    assert ingest(frame.to_dict("records"), encoder, store, collection="docs").written == 2
    assert {row.id: row.text for row in store.open("docs").records()} == {"1": "one", "2": "two"}
