"""What a collection keeps of dense vectors: their size, their precision, and who follows both."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import embedkit
from embedkit.errors import CollectionMismatchError, OptionError, StoreError
from embedkit.ingestion import check, copy, estimate, ingest, migrate
from embedkit.ingestion.pipeline.kept import Kept
from embedkit.stores.contract import CollectionInfo
from embedkit.stores.keeping import Keeping, rounded
from embedkit.stores.opening import open_store
from embedkit.testing.samples import fresh_name
from embedkit.testing.tiny import tiny_bundle
from embedkit.vectors.arrays import truncate
from helpers.small_bundles import changed

TEXTS = [f"{word} number {i}" for i in range(20) for word in ("ship", "house", "river")]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    plain = tiny_bundle(folder / "plain", dim=16)

    def nested(manifest):
        towers = {}
        for name, tower in manifest.towers.items():
            outputs = {key: msgspec.structs.replace(out, matryoshka=[4, 8, 16]) for key, out in tower.outputs.items()}
            towers[name] = msgspec.structs.replace(tower, outputs=outputs)
        return {"towers": towers}

    cut = changed(tiny_bundle(folder / "cut", dim=16, seed=1), nested)
    return embedkit.Encoder.load(plain), embedkit.Encoder.load(cut)


def test_what_is_asked_for_is_checked():
    assert not Kept().anything
    assert Kept(precision="int8").anything
    for wrong in ({"dim": 0}, {"precision": "int4"}, {"index": {"x": 1}}, {"any_dim": True}, {"dim": 4, "any_dim": 1}):
        with pytest.raises(OptionError):
            Kept(**wrong)
    info = CollectionInfo("docs", 8, "cosine", Keeping.made("int8", {"m": 8}).added_to("f"))
    assert Kept().keeping(info) == info.keeping
    assert Kept(precision="float16").keeping(info) == Keeping.made("float16", {"m": 8})
    assert Kept(index={}).keeping(info) == Keeping("int8")
    assert Kept().keeping(None) == Keeping()


def test_sizes_are_those_of_the_model_or_said_in_words(encoders):
    plain, cut = (encoder.outputs()["dense"] for encoder in encoders)
    info = CollectionInfo("docs", 8, "cosine", "f")
    assert (Kept().size(plain, None), Kept().size(plain, info), Kept(dim=16).size(plain, None)) == (None, 8, None)
    assert Kept(dim=8).size(cut, None) == 8
    with pytest.raises(OptionError, match="trained for the sizes 4, 8, 16, found 5"):
        Kept(dim=5).size(cut, None)
    with pytest.raises(OptionError, match="does not say that its vectors may be cut"):
        Kept(dim=8).size(plain, None)
    with pytest.raises(OptionError, match="have 16 numbers, found 17"):
        Kept(dim=17, any_dim=True).size(plain, None)
    assert Kept(dim=5, any_dim=True).size(plain, None) == 5


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "binary"])
def test_a_collection_is_filled_asked_checked_and_copied_as_it_keeps(encoders, precision):
    _, encoder = encoders
    one, two = (f"memory:{fresh_name('kept')}" for _ in range(2))
    place = {"collection": "docs"}
    assert ingest(TEXTS, encoder, one, **place, dim=8, precision=precision).written == len(TEXTS)
    with open_store(one) as store:
        docs = store.open("docs")
        assert (docs.info.dim, docs.info.keeping) == (8, Keeping(precision))
        rows = list(docs.records())
        stored = np.stack([row.vector for row in docs.get([row.id for row in rows], with_vectors=True)])
    whole = encoder.encode([row.text for row in rows], role="document")
    expected = rounded(truncate(whole, 8, normalize=True), precision)
    np.testing.assert_allclose(stored, expected, atol=1e-6)
    question = encoder.encode(["a house"], role="query", dim=8)
    scores = (rounded(question, precision) @ expected.T)[0]
    hits = embedkit.search("a house", encoder, one, **place, k=5)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1][:5], atol=1e-5)
    again = ingest(TEXTS, encoder, one, **place)  # what it keeps need not be said again
    assert (again.unchanged, again.encoded) == (len(TEXTS), 0)
    assert check(TEXTS, encoder, one, **place, vectors=50).consistent
    assert copy(one, two, **place).written == len(TEXTS)
    with open_store(two) as store:
        assert store.open("docs").info.fingerprint == docs.info.fingerprint
        ids = [row.id for row in rows]
        np.testing.assert_array_equal([r.vector for r in store.open("docs").get(ids, with_vectors=True)], stored)


def test_another_way_into_the_same_collection_is_refused(encoders, tmp_path):
    _, encoder = encoders
    store = f"memory:{fresh_name('kept')}"
    ingest(TEXTS[:3], encoder, store, collection="docs", dim=8, precision="int8")
    for other in ({"dim": 4}, {"dim": 16}, {"precision": "float32"}, {"precision": "binary"}):
        with pytest.raises(CollectionMismatchError):
            ingest(TEXTS[3:5], encoder, store, collection="docs", **other)
    assert ingest(TEXTS[3:5], encoder, store, collection="docs", dim=8, precision="int8").written == 2
    with pytest.raises(StoreError, match="index takes no setting"):
        ingest(TEXTS, encoder, store, collection="more", index={"m": 8})
    with pytest.raises(OptionError, match="direction"):
        ingest(TEXTS, encoder, store, collection="more", precision="int8", metric="dot")
    with pytest.raises(OptionError, match="none are kept"):
        sparse = embedkit.Encoder.load(tiny_bundle(tmp_path / "sparse", kinds=("sparse",)))
        ingest(TEXTS, sparse, store, collection="more", precision="int8")


def test_a_new_model_keeps_as_the_old_one_did(encoders):
    plain, cut = encoders
    store = f"memory:{fresh_name('kept')}"
    ingest(TEXTS, plain, store, collection="docs", precision="int8")
    report = migrate(cut, store, collection="docs", dim=4)
    assert report.switched, report
    with open_store(store) as opened:
        info = opened.open("docs").info
        assert (info.dim, info.keeping) == (4, Keeping("int8"))
    assert embedkit.search("a house", cut, store, collection="docs", k=3)


def test_an_estimate_counts_the_bytes_that_are_kept(encoders):
    _, encoder = encoders
    store = f"memory:{fresh_name('kept')}"
    sizes = [
        estimate(TEXTS, encoder, store, collection="docs", **how).vector_bytes
        for how in ({}, {"dim": 8}, {"precision": "float16"}, {"precision": "int8", "dim": 8}, {"precision": "binary"})
    ]
    whole = 4 * 16 * len(TEXTS)
    assert sizes == [whole, whole // 2, whole // 2, whole // 8, whole // 32]
