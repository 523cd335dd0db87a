"""Rows like examples, against all products by hand."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from embedkit import similar
from embedkit.errors import CollectionNotFoundError, InputError
from embedkit.records.batch import RecordBatch
from embedkit.records.filters import F
from embedkit.records.metadata import content_hash
from embedkit.stores.contract import CollectionSpec, StoreURL
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.memory import open_store

METRICS = ["cosine", "dot", "euclidean"]
VECTORS = (
    np.random.default_rng(3).standard_normal((50, 6)).astype(np.float32) * np.arange(1, 51, dtype=np.float32)[:, None]
)
IDS = [f"{i:02}" for i in range(50)]


@pytest.fixture
def store():
    store = GuardedStore(open_store(StoreURL.parse(f"memory:{uuid.uuid4()}")))
    metadata = [{"n": i} for i in range(50)]
    hashes = [content_hash(name, about) for name, about in zip(IDS, metadata, strict=True)]
    for metric in METRICS:
        rows = store.ensure(CollectionSpec(metric, 6, metric))
        rows.upsert(RecordBatch(IDS, VECTORS, IDS, metadata, hashes))
    return store


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def by_hand(metric, like, unlike, named):
    given = [unit(np.stack(part)) if metric == "cosine" and len(part) else np.array(part) for part in (like, unlike)]
    asked = given[0].mean(axis=0)
    if len(unlike):
        asked = 2 * asked - given[1].mean(axis=0)
    scores = {
        "cosine": unit(VECTORS) @ unit(asked),
        "dot": VECTORS @ asked,
        "euclidean": -np.linalg.norm(VECTORS - asked, axis=1),
    }[metric]
    return [IDS[i] for i in np.argsort(-scores) if IDS[i] not in named]


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_to_examples_and_far_from_others(store, metric):
    new = np.arange(6, dtype=np.float32) - 2

    def found(**given):
        hits = similar(store, collection=metric, k=50, **given)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        return [hit.id for hit in hits]

    rows = {name: VECTORS[i] for i, name in enumerate(IDS)}
    assert found(like="07") == by_hand(metric, [rows["07"]], [], {"07"})
    assert found(like=["07", "11"]) == by_hand(metric, [rows["07"], rows["11"]], [], {"07", "11"})
    assert found(like=new) == found(like=new.tolist()) == found(like=[new]) == by_hand(metric, [new], [], set())
    both = np.stack([new, rows["03"]])
    assert found(like=both) == found(like=list(both)) == by_hand(metric, list(both), [], set())
    mixed = by_hand(metric, [rows["07"], new], [rows["20"], rows["21"]], {"07", "20", "21"})
    assert found(like=["07", new], unlike=["20", "21"]) == mixed
    assert found(like=["07", new], unlike=["20", rows["21"]]) == by_hand(
        metric, [rows["07"], new], [rows["20"], rows["21"]], {"07", "20"}
    )


def test_pages_and_filters(store):
    whole = similar(store, collection="cosine", like="07", unlike="08", k=50)
    assert len(whole) == 48
    assert similar(store, collection="cosine", like="07", unlike="08", k=5, offset=4) == whole[4:9]
    late = similar(store, collection="cosine", like="07", unlike="08", k=50, filter=F("n") >= 30)
    assert [hit.id for hit in late] == [hit.id for hit in whole if hit.metadata["n"] >= 30]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"like": []}, "like: expected at least one example"),
        ({"like": "nowhere"}, "has no row 'nowhere'"),
        ({"like": "07", "unlike": ["08", "gone"]}, "has no row 'gone'"),
        ({"like": [1.0, 2.0]}, "like: expected vectors of 6 numbers"),
        ({"like": np.zeros(6)}, "cancel each other out|zero"),
        ({"like": np.full(6, np.nan)}, "NaN"),
        ({"like": "07", "k": 0}, "k: expected"),
        ({"like": 7}, "like"),
        ({"like": None}, "like"),
        ({"like": [["a"]]}, "like"),
    ],
)
def test_what_cannot_be_asked_is_told(store, given, said):
    with pytest.raises(InputError, match=said):
        similar(store, collection="cosine", **given)
    with pytest.raises(CollectionNotFoundError):
        similar(store, collection="nowhere", like="07")
