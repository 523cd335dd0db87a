"""Collections of sparse vectors and of several vectors a row: written, resumed, copied, checked."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder, EncoderPool, InputError, check, copy, ingest, open_store
from embedkit.errors import CollectionMismatchError, StoreError
from embedkit.runtime.verification import verify
from embedkit.testing.tiny import GOLDEN, tiny_bundle
from embedkit.vectors.values import equal

ROWS = [{"id": f"row {i}", "text": f"{'some' * (i % 9)} text of number {i}", "n": i} for i in range(70)]
ALL = ("dense", "sparse", "multivector")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder.load(tiny_bundle(tmp_path_factory.mktemp("kinds") / "bundle", kinds=ALL), on_truncate="ignore")


def stored(rows):
    found = rows.get([row["id"] for row in ROWS], with_vectors=True)
    assert len(found) == len(ROWS) == rows.count()
    return found


def agree(found, encoder, outputs):
    expected = encoder.encode_outputs([row["text"] for row in ROWS], role="document")
    for i, record in enumerate(found):
        assert (record.vector is not None) == ("dense" in outputs)
        if record.vector is not None:
            assert np.allclose(record.vector, expected["dense"][i], atol=1e-6)
        assert record.sparse == (expected["sparse"][i : i + 1] if "sparse" in outputs else None)
        assert (record.multivector is not None) == ("multivector" in outputs)
        if record.multivector is not None:
            assert np.array_equal(record.multivector, expected["multivector"][i])


def test_every_output_of_the_runtime(encoder, tmp_path):
    assert verify(encoder.bundle.folder).passed
    texts = [*GOLDEN, *(row["text"] for row in ROWS)]
    found = encoder.encode_outputs(texts)
    assert list(found) == list(ALL)
    for name, values in found.items():
        assert equal(encoder.encode(texts, output=name), values)
        parts = list(encoder.stream(texts, output=name))
        assert sum(map(len, parts)) == len(texts)
        for i in (0, 3, 9):
            assert equal(encoder.encode_outputs([texts[i]])[name], values[i : i + 1])
        values.save(tmp_path / "kept.npz") if name != "dense" else None
    with pytest.raises(InputError, match="output: this bundle has dense, sparse, multivector"):
        encoder.encode(texts, output="odd")
    with pytest.raises(InputError, match="dim and precision are for dense"):
        encoder.stream(texts, output="sparse", dim=3)
    with EncoderPool.load(encoder.bundle.folder, workers=2, on_truncate="ignore") as pool:
        for name, values in pool.encode_outputs(texts).items():
            assert equal(values, found[name])


@pytest.mark.parametrize("outputs", [None, ["dense"], ["sparse"], ["multivector", "sparse"]])
@pytest.mark.parametrize("scheme", ["memory", "qdrant-edge", "qdrant"])
def test_what_is_written_comes_back_and_is_written_once(encoder, entry_points, tmp_path, scheme, outputs, monkeypatch):
    pytest.importorskip("qdrant_edge" if scheme == "qdrant-edge" else "qdrant_client")
    monkeypatch.chdir(tmp_path)
    kept = ALL if outputs is None else tuple(outputs)
    with open_store(f"{scheme}:{tmp_path / 'index'}") as store:
        report = ingest(ROWS, encoder, store, collection="docs", outputs=outputs, window=16)
        assert report.written == len(ROWS)
        rows = store.open("docs")
        agree(stored(rows), encoder, kept)
        again = ingest([*ROWS[:-1], {**ROWS[-1], "n": -1}], encoder, store, collection="docs", window=16)
        assert (again.unchanged, again.written, again.encoded) == (len(ROWS) - 1, 1, 1)
        checked = check(ROWS, encoder, store, collection="docs", vectors=20)
        assert (checked.changed, checked.wrong, checked.compared) == (1, 0, 20)
        ingest(ROWS, encoder, store, collection="docs")
        done = copy(store, store, collection="docs", name="other")
        assert done.written == len(ROWS)
        assert store.open("other").info.sparse == rows.info.sparse
        agree(stored(store.open("other")), encoder, kept)


def test_what_does_not_fit_is_refused_before_anything_is_encoded(encoder, entry_points, tmp_path, monkeypatch):
    pytest.importorskip("chromadb")
    monkeypatch.chdir(tmp_path)
    before = encoder.stats.texts
    with open_store(f"chroma:{tmp_path / 'index'}") as store:
        with pytest.raises(StoreError, match="keeps no sparse vectors"):
            ingest(ROWS, encoder, store, collection="docs")
        assert encoder.stats.texts == before
        assert ingest(ROWS, encoder, store, collection="docs", outputs=["dense"]).written == len(ROWS)
        assert ingest(ROWS, encoder, store, collection="docs").unchanged == len(ROWS)
    with open_store("memory:refused") as store:
        ingest(ROWS, encoder, store, collection="docs", outputs=["dense"])
        with pytest.raises(CollectionMismatchError, match="sparse"):
            ingest(ROWS, encoder, store, collection="docs", outputs=["dense", "sparse"])
        for outputs, message in (
            (["odd"], "found 'odd'"),
            ("dense", "found str; put one name in a list"),
            ([], "no vectors"),
        ):
            with pytest.raises(InputError, match=message):
                ingest(ROWS, encoder, store, collection="new", outputs=outputs)
