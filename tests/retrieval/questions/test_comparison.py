"""Two collections asked the same, each by its own model; the overlap against sets by hand."""

from __future__ import annotations

import pytest

from embedkit.encoders.encoder import Encoder
from embedkit.errors import CollectionMismatchError, InputError
from embedkit.ingestion import ingest, migrate
from embedkit.records.documents import Hit
from embedkit.retrieval.questions.comparison import Beside, OverlapJudge, compare
from embedkit.retrieval.searching import search
from embedkit.testing.tiny import tiny_bundle


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    made = tiny_bundle(tmp_path_factory.mktemp("newer") / "bundle", dim=12, seed=5)
    return Encoder.load(made, variant="fp32", threads=1, on_truncate="ignore")


def hits(ids: str) -> list[Hit]:
    return [Hit(row, 1.0, row, {}) for row in ids]


@pytest.mark.parametrize(
    ("old", "new", "overlap"),
    [("abcd", "cdef", 0.5), ("ab", "ba", 1.0), ("abcd", "a", 0.25), ("", "", 1.0), ("a", "", 0.0)],
)
def test_the_overlap(old, new, overlap):
    assert Beside("q", hits(old), hits(new)).overlap == overlap


def test_answers_are_those_of_search(store, encoder, newer):
    rows = [{"id": row.id, "text": row.text} for row in store.open("docs").records()]
    ingest(rows, newer, store, collection="new")
    queries = ["tea 3", "rain 7"]
    found = compare(queries, (encoder, store.open("docs")), (newer, store.open("new")), k=5)
    assert [each.query for each in found] == queries
    for model, name, side in ((encoder, "docs", "old"), (newer, "new", "new")):
        expected = search(queries, model, store, collection=name, k=5)
        assert [[hit.id for hit in getattr(each, side)] for each in found] == [
            [hit.id for hit in one] for one in expected
        ]
    same = compare(queries, (encoder, store.open("docs")), (encoder, store.open("docs")))
    assert [each.overlap for each in same] == [1.0, 1.0]


def test_what_is_refused(store, encoder, newer):
    docs = store.open("docs")
    for queries in ([], [" "], [3]):
        with pytest.raises(InputError, match="queries"):
            compare(queries, (encoder, docs), (encoder, docs))
    with pytest.raises(CollectionMismatchError):
        compare(["tea"], (encoder, docs), (newer, docs))
    with pytest.raises(InputError, match="least"):
        OverlapJudge(["tea"], encoder, newer, least=2.0)


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_a_judge_of_a_migration(store, encoder, newer, least):
    judge = OverlapJudge(["tea 3", "rain 7", "wind"], encoder, newer, least=least)
    assert judge.overlap == 0.0
    report = migrate(newer, store, collection="docs", judge=judge)
    assert judge.overlap == pytest.approx(sum(each.overlap for each in judge.found) / 3)
    assert 0 < judge.overlap < 1, "two models that differ"
    assert report.switched is (least == 0.0)
