"""A collection of an output that is not the first of its kind: neither its vectors nor its questions are of another one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from embedkit import Encoder, check, copy, ingest, open_store, search
from embedkit.bundle.golden import golden_key
from embedkit.bundle.manifest import Output
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import write_manifest
from embedkit.errors import CollectionMismatchError, InputError
from embedkit.ingestion import estimate, retry
from embedkit.stores.fingerprint import bundle_of, chosen, space
from embedkit.testing.tiny import tiny_bundle

onnx = pytest.importorskip("onnx")

ROWS = [{"id": f"row {i}", "text": f"{'some' * (i % 7)} text of number {i}"} for i in range(40)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Of a bundle with two dense outputs of one size: the second has the first's numbers in the other order."""
    folder = tiny_bundle(tmp_path_factory.mktemp("two") / "bundle", kinds=("dense", "sparse"), variants=("fp32",))
    model = onnx.load(folder / "model.fp32.onnx")
    order = onnx.numpy_helper.from_array(np.arange(8)[::-1].copy(), "order")
    model.graph.initializer.append(order)
    model.graph.node.append(onnx.helper.make_node("Gather", ["dense", "order"], ["turned"], axis=1))
    model.graph.output.append(onnx.helper.make_tensor_value_info("turned", onnx.TensorProto.FLOAT, ["rows", 8]))
    onnx.save(model, folder / "model.fp32.onnx")
    with np.load(folder / "golden.npz") as found:
        golden = dict(found)
    for role in ("default", "query", "document"):
        golden[golden_key(role, "turned")] = golden[golden_key(role, "dense")][:, ::-1]
    np.savez(folder / "golden.npz", **golden)
    manifest = read_manifest((folder / "embedkit.json").read_bytes(), "embedkit.json")
    tower = manifest.towers["default"]
    tower = msgspec.structs.replace(tower, outputs={**tower.outputs, "turned": Output(kind="dense", dim=8)})
    write_manifest(folder, msgspec.structs.replace(manifest, towers={**manifest.towers, "default": tower}))
    return Encoder.load(folder, on_truncate="ignore")


def test_an_output_has_its_own_space(encoder: Encoder) -> None:
    outputs = encoder.outputs()
    assert list(outputs) == ["dense", "sparse", "turned"]
    assert space("f", outputs, {"dense": "dense", "sparse": "sparse"}) == "f"
    other = space("f", outputs, {"dense": "turned", "sparse": "sparse"})
    assert other != "f"
    assert bundle_of(other) == bundle_of("f") == "f"
    assert bundle_of("") == ""
    assert chosen(other, outputs) == {"dense": "turned", "sparse": "sparse"}
    assert chosen("f", outputs) == {"dense": "dense", "sparse": "sparse"}
    with pytest.raises(CollectionMismatchError, match="keeps the output 'turned'"):
        chosen(other, {"dense": outputs["dense"]})


def test_its_rows_and_questions_are_of_that_output(encoder: Encoder, entry_points: None, tmp_path: Path) -> None:
    with open_store("memory:space") as store:
        ingest(ROWS[:30], encoder, store, collection="docs", outputs=["turned"])
        ingest(ROWS[20:], encoder, store, collection="docs")
        rows = store.open("docs")
        assert (rows.count(), rows.info.sparse) == (len(ROWS), 0)
        expected = encoder.encode([row["text"] for row in ROWS], output="turned")
        found = rows.get([row["id"] for row in ROWS], with_vectors=True)
        assert np.array_equal(np.stack([record.vector for record in found if record.vector is not None]), expected)
        question = ROWS[7]["text"]
        hits = search(question, encoder, store, collection="docs", k=3)
        scores = expected @ encoder.encode([question], output="turned")[0]
        assert [hit.id for hit in hits] == [ROWS[i]["id"] for i in np.argsort(-scores, kind="stable")[:3]]
        assert hits[0].score == pytest.approx(1.0)
        checked = check(ROWS, encoder, store, collection="docs", vectors=len(ROWS))
        assert (checked.consistent, checked.compared) == (True, len(ROWS))
        assert estimate(ROWS, encoder, store, collection="docs").unchanged == len(ROWS)
        copy(store, store, collection="docs", name="copied")
        assert search(question, encoder, store, collection="copied", k=3) == hits
        for outputs in (["dense"], ["dense", "sparse"]):
            with pytest.raises(CollectionMismatchError, match="other outputs of this bundle|dim|sparse"):
                ingest(ROWS, encoder, store, collection="docs", outputs=outputs)
        with pytest.raises(InputError, match="'dense' and 'turned' are dense"):
            ingest(ROWS, encoder, store, collection="new", outputs=["dense", "turned"])


def test_dead_letters_are_tried_again_with_it(encoder: Encoder, entry_points: None, tmp_path: Path) -> None:
    letters = tmp_path / "docs.dead.jsonl"
    for collection, outputs in (("docs", None), ("new", ["turned"])):
        with open_store("memory:retried") as store:
            rows = [*ROWS, {"id": "dead", "text": " "}]
            assert ingest(rows, encoder, store, collection="docs", outputs=["turned"], dead_letters=letters).dead == 1
            letters.write_text(letters.read_text().replace('"text": " "', '"text": "alive"'))
            report = retry(letters, encoder, store, collection=collection, outputs=outputs)
            assert (report.written, report.dead) == (1, 0)
            (record,) = store.open(collection).get(["dead"], with_vectors=True)
            assert record.vector is not None
            assert np.array_equal(record.vector, encoder.encode(["alive"], output="turned")[0])
            store.open("docs").delete(ids=["dead"])


def test_an_estimate_is_of_what_is_kept(encoder: Encoder, entry_points: None) -> None:
    with open_store("memory:estimated") as store:
        both = estimate(ROWS, encoder, store, collection="docs")
        sparse = estimate(ROWS, encoder, store, collection="docs", outputs=["sparse"])
        found = encoder.encode([row["text"] for row in ROWS], output="sparse", role="document")
        assert sparse.vector_bytes == pytest.approx(found.nbytes, rel=0.1)
        assert both.vector_bytes - sparse.vector_bytes == 4 * 8 * len(ROWS)
    pytest.importorskip("sqlite_vec")
    with open_store("sqlite-vec:index.db") as store:
        with pytest.raises(Exception, match="keeps no sparse vectors"):
            estimate(ROWS, encoder, store, collection="docs")
        assert estimate(ROWS, encoder, store, collection="docs", outputs=["dense"]).new == len(ROWS)
        assert store.names() == []
