"""Chunks that are pooled from documents which are read whole: their vectors, their hashes, and what the collection keeps of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedkit
from embedkit import Chunking, CollectionMismatchError, Document, Encoder, InputError, OptionError, chunked
from embedkit.ingestion import check, estimate, ingest, migrate, retry
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.pipeline.encoding.late import LateWindowEncoder, window_encoder
from embedkit.ingestion.pipeline.encoding.windows import WindowEncoder
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.stores.guarded import GuardedStore
from embedkit.testing.tiny import tiny_bundle

LATE = Chunking(16, by="tokens", late=True)
SHORT = "tea from the mountains is green tea."
LONG = " ".join(f"{number} green leaves grow." for number in range(20))
DOCUMENTS = [Document("short", SHORT, {"year": 2020}), Document("long", LONG), Document("one", "tea")]


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("late") / "bundle", kinds=("dense", "tokens"))


@pytest.fixture(scope="module")
def encoder(late: Path) -> Encoder:
    return Encoder.load(late, variant="fp32", threads=1, on_truncate="ignore")


def stored(store: GuardedStore, name: str = "docs") -> dict[str, Any]:
    return {row.id: row for row in store.open(name).whole([row.id for row in store.open(name).records(None)])[0]}


@pytest.mark.parametrize("window", [1, 3, None])
def test_a_chunk_has_the_vector_that_encode_spans_gives(
    encoder: Encoder, store: GuardedStore, window: int | None
) -> None:
    chunks = chunked(DOCUMENTS, encoder, LATE)
    report = ingest(chunks, encoder, store, collection="docs", window=window)
    rows = stored(store)
    assert report.written == report.read == report.encoded == len(rows)
    for document in DOCUMENTS:
        own = [row for row in rows.values() if row.metadata["source"] == document.id]
        own.sort(key=lambda row: row.metadata["chunk"])
        spans = [(row.metadata["start"], row.metadata["end"]) for row in own]
        expected = embedkit.encode_spans(encoder, document.text, spans)
        assert np.stack([row.vector for row in own]).tobytes() == expected.tobytes()
    assert len(own) == 1
    np.testing.assert_allclose(own[0].vector, encoder.encode_document("tea"), atol=1e-6)


def test_the_chunks_are_the_plain_ones(encoder: Encoder) -> None:
    plain = list(chunked(DOCUMENTS, encoder, replace(LATE, late=False)))
    assert [replace(row, within=None) for row in chunked(DOCUMENTS, encoder, LATE)] == plain


def test_a_second_run_encodes_nothing_and_a_change_nearby_is_one(encoder: Encoder, store: GuardedStore) -> None:
    chunks = chunked(DOCUMENTS, encoder, LATE)
    first = ingest(chunks, encoder, store, collection="docs")
    again = ingest(chunks, encoder, store, collection="docs", sync=True)
    assert (again.encoded, again.unchanged, again.deleted) == (0, first.written, 0)
    assert check(chunks, encoder, store, collection="docs").consistent
    # The last word changes: chunks that are read with it have other vectors, those at the beginning of the document stay.
    changed = [*DOCUMENTS[:1], Document("long", LONG[:-5] + "grew."), *DOCUMENTS[2:]]
    report = ingest(chunked(changed, encoder, LATE), encoder, store, collection="docs")
    chunks_of_long = sum(row.metadata["source"] == "long" for row in stored(store).values())
    assert 1 < report.written < chunks_of_long / 2
    assert not check(chunks, encoder, store, collection="docs").consistent


def test_each_part_is_read_once_whatever_the_window(
    encoder: Encoder, store: GuardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    encode = Encoder.encode_outputs

    def encoding(self: Encoder, texts: list[str], **options: Any) -> Any:
        read.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(Encoder, "encode_outputs", encoding)
    ingest(chunked(DOCUMENTS, encoder, LATE), encoder, store, collection="docs", window=1)
    assert len(read) == len(set(read))
    assert sum(map(len, read)) < 1.6 * sum(len(document.text) for document in DOCUMENTS)


def test_late_and_plain_chunks_are_not_mixed(encoder: Encoder, store: GuardedStore) -> None:
    late, plain = (chunked(DOCUMENTS, encoder, replace(LATE, late=way)) for way in (True, False))
    ingest(late, encoder, store, collection="late")
    ingest(plain, encoder, store, collection="plain")
    for rows, name, message in (
        (plain, "late", "it holds late chunks, and these are plain"),
        (late, "plain", "it holds plain chunks"),
    ):
        with pytest.raises(CollectionMismatchError, match=message):
            ingest(rows, encoder, store, collection=name)
    for name in ("late", "plain"):
        assert embedkit.search("tea", encoder, store, collection=name)[0].id == "one#0"
    with pytest.raises(OptionError, match="give what embedkit.chunked returns"):
        ingest((row for row in late), encoder, store, collection="plain")


def test_rows_that_are_no_chunks_are_read_by_themselves(encoder: Encoder) -> None:
    columns = Columns.of(encoder, "document", None, None, Kept(late=True))
    own = window_encoder(encoder, "document", columns)
    assert isinstance(own, LateWindowEncoder)
    rows = list(chunked(DOCUMENTS[:1], encoder, LATE))
    alone = [(replace(row, within=None), "hash") for row in rows]
    found = own(alone).values["dense"]
    assert np.allclose(found, encoder.encode_document([row.text for row in rows]), atol=1e-6)
    plain = window_encoder(encoder, "document", Columns.of(encoder, "document", None))
    assert type(plain) is WindowEncoder


def test_rounded_and_shorter_vectors(encoder: Encoder, store: GuardedStore) -> None:
    chunks = chunked(DOCUMENTS, encoder, LATE)
    ingest(chunks, encoder, store, collection="docs", dim=4, any_dim=True)
    again = ingest(chunks, encoder, store, collection="docs")
    assert (store.open("docs").info.dim, again.written) == (4, 0)


def test_a_document_that_cannot_be_encoded_is_tried_again_whole(
    encoder: Encoder, store: GuardedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Encoder.encode_outputs

    def failing(self: Encoder, texts: list[str], *, on_bad: Any = None, **options: Any) -> Any:
        bad = [number for number, text in enumerate(texts) if "mountains" in text]
        for number in bad:
            on_bad(number, "it is refused")
        return encode(self, [text for text in texts if "mountains" not in text], **options)

    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "encode_outputs", failing)
        report = ingest(chunked(DOCUMENTS, encoder, LATE), encoder, store, collection="docs")
    letters = [json.loads(line) for line in Path("docs.dead.jsonl").read_text().splitlines()]
    assert len(letters) == report.dead > 1
    assert {letter["document"]["text"] for letter in letters} == {SHORT}
    done = retry("docs.dead.jsonl", encoder, store, collection="docs", chunking=LATE)
    assert (done.written, done.dead) == (report.dead, 0)
    assert check(chunked(DOCUMENTS, encoder, LATE), encoder, store, collection="docs").consistent


def test_a_chunk_without_a_token_of_its_own_is_refused_alone(encoder: Encoder) -> None:
    columns = Columns.of(encoder, "document", None, None, Kept(late=True))
    rows = [(row, "hash") for row in chunked(DOCUMENTS[:1], encoder, LATE)]
    document, digest = rows[1]
    assert document.within is not None
    rows[1] = (replace(document, within=replace(document.within, start=3, end=3)), digest)
    found = window_encoder(encoder, "document", columns)(rows)
    assert [row for row, _ in found.rows] == [row for row, _ in (rows[0], *rows[2:])]
    assert [why for _, why in found.refused] == ["no token of the text is its own, so it has no vector"]


def test_what_late_chunks_cannot_do_is_refused_by_name(
    encoder: Encoder, bundle: Path, store: GuardedStore, tmp_path: Path
) -> None:
    chunks = chunked(DOCUMENTS, encoder, LATE)
    ingest(chunks, encoder, store, collection="docs")
    with pytest.raises(
        OptionError, match="holds late chunks, whose vectors are made of whole documents; leave vectors out"
    ):
        check(chunks, encoder, store, collection="docs", vectors=3)
    with pytest.raises(
        OptionError, match="check: collection 'docs' holds late chunks, and the documents are not cut so"
    ):
        check(chunked(DOCUMENTS, encoder, replace(LATE, late=False)), encoder, store, collection="docs")
    with pytest.raises(OptionError, match="holds late chunks"):
        migrate(encoder, store, collection="docs")
    with pytest.raises(InputError, match="outputs: late chunks have 'dense' alone, found tokens"):
        Columns.of(encoder, "document", ["dense", "tokens"][1:], None, Kept(late=True))
    with pytest.raises(InputError, match="export the model again with --late"):
        chunked(DOCUMENTS, Encoder.load(bundle), LATE)
    with pytest.raises(OptionError, match="chunk late: sounds"):
        Chunking(3, by="seconds", late=True)
    assert estimate(chunks, encoder, store, collection="docs").unchanged == len(stored(store))


def test_an_estimate_counts_each_part_once(encoder: Encoder, store: GuardedStore) -> None:
    plain, late = (
        estimate(chunked(DOCUMENTS, encoder, replace(LATE, late=way)), encoder, store, collection="docs")
        for way in (False, True)
    )
    assert late.new == plain.new > late.sampled > 3
    assert late.vector_bytes == plain.vector_bytes == 32 * late.new
    texts = sum(len(document.text) for document in DOCUMENTS)
    assert texts < late.tokens < 1.6 * texts < 2 * plain.tokens
