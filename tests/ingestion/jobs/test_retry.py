from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from embedkit.errors import InputError, StoreError
from embedkit.ingestion import Chunking, Fields, FileRows, IngestInterrupted, chunked, ingest, retry
from embedkit.ingestion.pipeline.report import IngestError
from embedkit.records.documents import Document

PATH = "docs.dead.jsonl"


def letters(folder):
    return [json.loads(line) for line in (folder / PATH).read_text().splitlines()]


def write(folder, found):
    (folder / PATH).write_text("".join(json.dumps(letter) + "\n" for letter in found))


def test_rows_that_the_store_refused_are_written_as_they_were(encoder, store, faulty, tmp_path):
    about = {"at": datetime(2024, 1, 1, tzinfo=UTC), "none": None, "nan": float("inf")}
    rows = [Document(f"d{i}", f"text {i}", about) for i in range(20)]

    def fault(batch):
        if {"d3", "d7"} & set(batch.ids):
            raise StoreError("too large")

    faulty.fault = fault
    assert ingest(rows, encoder, store, collection="docs").dead == 2
    before = letters(tmp_path)
    with pytest.raises(IngestError, match="too large"):  # a store that takes nothing may be out of order
        retry(PATH, encoder, store, collection="docs")
    assert letters(tmp_path) == before
    write(tmp_path, [*before, {**before[0], "id": "new", "document": {"id": "new", "text": "new", "metadata": {}}}])
    report = retry(PATH, encoder, store, collection="docs")
    assert (report.read, report.written, report.dead, report.dead_letters) == (3, 1, 2, PATH)
    assert letters(tmp_path) == before
    faulty.fault = lambda batch: None
    report = retry(PATH, encoder, store, collection="docs")
    assert (report.read, report.written, report.dead, report.dead_letters) == (2, 2, 0, None)
    assert not (tmp_path / PATH).exists()
    assert ingest(rows, encoder, store, collection="docs").unchanged == 20


def test_rows_that_could_not_be_read_are_read_again(encoder, store, faulty, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "body": "one"}\n{"id": 2, "text": "two"\n["no object"]\n')
    (tmp_path / "b.csv").write_text('id,text\n3,"three"x\n4,four,more\n')
    (tmp_path / "c.tsv").write_text("id\ttext\n5\n")
    (tmp_path / "d.txt").write_bytes(b"\xff")
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b'{"id": 6, "text": "six"}')[:-4])
    names = ["a.jsonl", "b.csv", "c.tsv", "d.txt", "e.jsonl.gz"]
    first = ingest(FileRows(names), encoder, store, collection="docs")
    assert first.dead == 8
    before = letters(tmp_path)
    again = retry(PATH, encoder, store, collection="docs")
    assert (again.read, again.dead, letters(tmp_path)) == (8, 8, before)

    repaired = letters(tmp_path)
    repaired[1]["row"] += "}"
    repaired[3]["row"] = 'id,text\n3,"three x"'
    repaired[4]["row"] = "id,text\n4,four"
    repaired[5]["row"] = "id\ttext\n5\tfive"
    write(tmp_path, repaired)
    (tmp_path / "d.txt").write_text("dee")
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b'{"id": 6, "text": "six"}'))
    report = retry(PATH, encoder, store, collection="docs", fields=Fields(text=["text", "body"]))
    assert (report.written, report.dead) == (7, 1)
    assert faulty.texts == {
        "1": "one",
        "2": "two",
        "3": "three x",
        "4": "four",
        "5": "five",
        "6": "six",
        "d.txt": "dee",
    }
    assert [letter["row"] for letter in letters(tmp_path)] == ['["no object"]']


def test_a_file_is_read_again_in_the_format_it_was_given(encoder, store, faulty, tmp_path):
    (tmp_path / "data.dat").write_bytes(gzip.compress(b"id,text\n1,one\n")[:-4])
    assert ingest(FileRows(["data.dat"], format="csv"), encoder, store, collection="docs").dead == 1
    (tmp_path / "data.dat").write_text("id,text\n1,one\n")
    retry(PATH, encoder, store, collection="docs")
    assert faulty.texts == {"1": "one"}


def test_a_record_keeps_its_types(encoder, store, tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    pq.write_table(pa.table({"id": ["a"], "text": [None], "body": ["b"], "at": [moment]}), tmp_path / "d.parquet")
    assert ingest(FileRows(["d.parquet"]), encoder, store, collection="docs").dead == 1
    retry(PATH, encoder, store, collection="docs", fields=Fields(text="body"))
    assert store.open("docs").get(["a"])[0].metadata["at"] == moment


@pytest.mark.parametrize(
    "change",
    [
        {"source": 5},
        {"line": "2"},
        {"line": True},
        {"reason": None},
        {"row": ["text"]},
        {"id": 7},
        {"format": None},
        {"format": "file:"},
        {"format": "file:unknown:x"},
        {"document": {"id": 1, "text": "t", "metadata": {}}},
        {"document": {"id": "a", "text": None, "metadata": {}}},
        {"document": {"id": "a", "text": "t", "metadata": 3}},
        {"document": "a"},
    ],
)
def test_what_no_ingest_wrote_is_a_bad_row_and_the_others_are_kept(encoder, store, faulty, tmp_path, change):
    good = {
        "source": "d.jsonl",
        "line": 1,
        "reason": "r",
        "row": '{"id": "g", "text": "good"}',
        "id": "g",
        "format": "jsonl",
    }
    other = {**good, "row": '{"id": "o", "text": "other"}', **change}
    write(tmp_path, [other, good])
    report = retry(PATH, encoder, store, collection="docs")
    assert (report.written, report.dead) == (1, 1)
    assert faulty.texts == {"g": "good"}
    (letter,) = letters(tmp_path)
    assert letter["reason"].startswith("no dead letter can be read here")
    assert json.loads(letter["row"]) == other


def test_a_repeated_id_fails_until_it_is_another(encoder, store, faulty, tmp_path):
    ingest([Document("a", "first"), Document("a", "second")], encoder, store, collection="docs")
    assert retry(PATH, encoder, store, collection="docs").dead == 1
    assert faulty.texts == {"a": "first"}
    (letter,) = letters(tmp_path)
    letter["document"]["id"] = "b"
    write(tmp_path, [letter])
    assert retry(PATH, encoder, store, collection="docs").written == 1
    assert faulty.texts == {"a": "first", "b": "second"}


def test_chunks_are_not_cut_again_and_whole_documents_are(encoder, store, faulty, tmp_path):
    text = "A sentence that is long enough. " * 9
    documents = list(chunked([Document("a", text)], encoder, Chunking(40)))

    def fault(batch):
        if {"a#2", "b"} & set(batch.ids):
            raise StoreError("refused")

    faulty.fault = fault
    assert ingest([*documents, Document("b", text)], encoder, store, collection="docs").dead == 2
    faulty.fault = lambda batch: None
    report = retry(PATH, encoder, store, collection="docs", chunking=Chunking(20))
    assert report.dead == 0
    kept = set(faulty.texts)
    assert {row.id for row in documents} == {row_id for row_id in kept if row_id.startswith("a")}
    assert {row.id for row in chunked([Document("b", text)], encoder, Chunking(20))} < kept


@pytest.mark.parametrize("error", [StoreError("disk full"), KeyboardInterrupt(), RuntimeError("bug")])
def test_a_run_that_is_cut_loses_no_letter(encoder, store, faulty, tmp_path, error):
    ingest([{"id": i} for i in range(3)], encoder, store, collection="docs")
    found = letters(tmp_path)
    for letter in found[1:]:
        letter["document"] = {"id": letter["id"] or "x", "text": f"text {letter['id']}", "metadata": {}}
    found[1]["row"] = found[1]["row"]
    write(tmp_path, found)
    (tmp_path / f"{PATH}.retrying").write_text("left by a run that was killed")

    def fault(batch):
        raise error

    faulty.fault = fault
    expected = {StoreError: IngestError, KeyboardInterrupt: IngestInterrupted}.get(type(error), RuntimeError)
    with pytest.raises(expected) as caught:
        retry(PATH, encoder, store, collection="docs")
    if expected is not RuntimeError:
        assert caught.value.report.dead_letters == PATH
    assert letters(tmp_path) == found
    assert not (tmp_path / f"{PATH}.retrying").exists()
    faulty.fault = lambda batch: None
    assert retry(PATH, encoder, store, collection="docs").written == 2


def test_what_cannot_be_tried_again_stays(encoder, store, tmp_path):
    old = {"source": "s", "line": 1, "id": None, "reason": "r", "row": '{"id": 1, "text": "of an older version"}'}
    kept = {**old, "format": "", "document": None}
    (tmp_path / PATH).write_text("\n".join([json.dumps(old), "{broken", json.dumps(kept), "[]", '{"source": 1}']))
    report = retry(PATH, encoder, store, collection="docs")
    assert (report.written, report.dead) == (1, 4)
    found = letters(tmp_path)
    assert found[1] == kept
    assert [letter["row"] for letter in found] == ["{broken", kept["row"], "[]", '{"source": 1}']
    retry(PATH, encoder, store, collection="docs")
    assert [letter["row"] for letter in letters(tmp_path)] == [letter["row"] for letter in found]
    repaired = letters(tmp_path)
    repaired[0]["row"] = json.dumps({**old, "row": '{"id": 2, "text": "repaired"}'})
    write(tmp_path, repaired)
    assert retry(PATH, encoder, store, collection="docs").written == 1


@pytest.mark.parametrize("content", [None, '{"id": 1, "text": "t"}\n', "text"])
def test_another_file_is_refused(encoder, store, tmp_path, content):
    if content is not None:
        (tmp_path / PATH).write_text(content)
    with pytest.raises(InputError, match="is no dead-letter file"):
        retry(PATH, encoder, store, collection="docs")


def test_bytes_that_are_no_text_are_not_tried_as_their_escapes(tmp_path, encoder, store):
    """A row of CSV in latin-1 was written with the letters of an escape in its text."""
    (tmp_path / "docs.csv").write_bytes("id,text\n1,café\n2,tea\n".encode("latin-1"))
    assert ingest(FileRows(["docs.csv"]), encoder, store, collection="docs").dead == 1
    assert retry("docs.dead.jsonl", encoder, store, collection="docs").dead == 1
    letters = Path("docs.dead.jsonl")
    letters.write_text(letters.read_text().replace(r"caf\\xe9", "café"), encoding="utf-8")
    assert retry("docs.dead.jsonl", encoder, store, collection="docs").written == 1
    assert {row.id: row.text for row in store.open("docs").records()} == {"1": "café", "2": "tea"}


def test_a_table_with_another_delimiter_is_tried_by_it(tmp_path, encoder, store):
    (tmp_path / "docs.csv").write_bytes(b"id;text\n1;one;more\n2;tea, milk\n")
    assert ingest(FileRows(["docs.csv"], delimiter=";"), encoder, store, collection="docs").dead == 1
    letters = Path("docs.dead.jsonl")
    letters.write_text(letters.read_text().replace("one;more", "one, more"), encoding="utf-8")
    assert retry("docs.dead.jsonl", encoder, store, collection="docs").written == 1
    assert {row.id: row.text for row in store.open("docs").records()} == {"1": "one, more", "2": "tea, milk"}
