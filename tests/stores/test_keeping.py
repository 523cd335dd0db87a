"""How vectors are kept: rounding against numpy, the fingerprint there and back, and indexes of real stores against all rows compared."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import OptionError
from embedkit.stores.contract import CollectionSpec
from embedkit.stores.keeping import PRECISIONS, Keeping, packed, rounded, unpacked, without_keeping
from embedkit.stores.opening import open_store
from embedkit.testing.samples import text_batch, unit_vectors
from embedkit.vectors.quantization import quantize
from helpers import embedded

DIM = 21


def test_rounding_is_that_of_numpy_and_is_done_once():
    given = unit_vectors(50, dim=DIM)
    np.testing.assert_array_equal(rounded(given, "float32"), given)
    np.testing.assert_array_equal(rounded(given, "float16"), given.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(packed(given, "binary"), quantize(given, "ubinary"))
    np.testing.assert_allclose(rounded(given, "binary"), np.where(given > 0, 1, -1) / np.sqrt(DIM), rtol=1e-6)
    whole = np.array([[round(127 * x / max(map(abs, row))) for x in row] for row in given.astype(float).tolist()])
    np.testing.assert_array_equal(packed(given, "int8"), whole)
    np.testing.assert_allclose(rounded(given, "int8"), whole / np.linalg.norm(whole, axis=1, keepdims=True), rtol=1e-6)
    for precision in ("float16", "int8", "binary"):
        once = rounded(given, precision)
        np.testing.assert_array_equal(packed(once, precision), packed(given, precision))
        np.testing.assert_array_equal(rounded(given[3:4], precision)[0], once[3])  # whatever stands beside it
        assert (once * given).sum(axis=1).min() > {"float16": 0.999, "int8": 0.999, "binary": 0.5}[precision]
        assert unpacked(packed(given[:0], precision), precision, DIM).shape == (0, DIM)
    assert np.isfinite(rounded(np.full((1, 3), 1e30, np.float32), "float16")).all()
    assert not packed(np.zeros((1, 3), np.float32), "int8").any()


def test_a_fingerprint_says_how_and_loses_nothing():
    for base in ("", "abc", 'abc outputs {"dense": "second"}', "a keeps b"):
        assert Keeping().added_to(base) == base
        for precision in PRECISIONS:
            keeping = Keeping.made(precision, {"m": 32, "ef": 200})
            made = keeping.added_to(base)
            assert (Keeping.of(made), without_keeping(made)) == (keeping, base)
    assert Keeping.of("abc") == Keeping()
    assert str(Keeping.made("int8+full", {"m": 8})) == "int8+full, m=8"
    assert [Keeping(p).full for p in PRECISIONS] == [True, False, False, False, True, True]
    assert [Keeping(p).base for p in PRECISIONS[4:]] == ["int8", "binary"]
    assert Keeping.made("binary+full", {}).wants_index
    assert not Keeping("binary").wants_index
    assert (Keeping.made("int8", {"m": 8}).setting("m", 3), Keeping().setting("m", 3)) == (8, 3)


@pytest.mark.parametrize(
    ("precision", "index"),
    [("int4", {}), (8, {}), ("int8", {"edges": 3}), ("int8", {"m": 0}), ("int8", {"m": True}), ("int8", "m=3")],
)
def test_what_cannot_be_is_refused(precision, index):
    with pytest.raises(OptionError):
        Keeping.made(precision, index)


@pytest.mark.parametrize(
    "name",
    ["chroma", "lancedb", "qdrant-edge", "sqlite-vec", pytest.param("pgvector", marks=pytest.mark.slow)],
)
def test_a_search_finds_nearly_what_comparing_all_rows_finds(name, tmp_path):
    """Above a thousand rows, where the index that was asked for is made."""
    rng = np.random.default_rng(0)
    near = unit_vectors(60, dim=64)[rng.integers(0, 60, 1_500)]
    rows = (near + rng.normal(0, 0.08, near.shape)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = rows[:40] + rng.normal(0, 0.02, (40, 64)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    best = np.argsort(-(asked @ rows.T), axis=1)[:, :10]
    with embedded.address(name, tmp_path) as url, open_store(url) as store:
        graph = {"m": 24, "ef": 120, "search": 500} if "m" in store.caps.index else {"lists": 8, "probes": 8}
        index = {key: value for key, value in graph.items() if key in store.caps.index}
        recall = {}
        for precision in sorted(store.caps.precisions):
            spec = CollectionSpec(precision, 64, "cosine", Keeping.made(precision, index).added_to("model"))
            docs = store.ensure(spec)
            docs.upsert(text_batch([str(i) for i in range(len(rows))], vectors=rows))
            docs.flush()
            found = [{int(hit.id) for hit in hits} for hits in docs.query(asked, 10)]
            recall[precision] = np.mean(
                [len(ids & set(want)) / 10 for ids, want in zip(found, best.tolist(), strict=True)]
            )
            scores = {int(hit.id): hit.score for hit in docs.query(asked[:1], 10)[0]}
            if Keeping(precision).full:  # ranked by what is kept in full
                for i, score in scores.items():
                    assert score == pytest.approx(float(asked[0] @ rows[i]), abs=1e-3)
    assert min(recall[each] for each in recall if each != "binary") > 0.93, recall
    assert recall.get("binary", 1.0) > 0.3
    assert recall.get("binary+full", 1.0) > recall.get("binary", 0.0)
