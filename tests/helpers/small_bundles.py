"""Bundles of a few kilobytes with what the tiny one has not: numbers for classes, a head for pairs, ids, a table.

What they compute is written in numpy beside them. Sums and products of multiples of 1/8 are exact in float32, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from embedkit import Bundle
from embedkit.bundle.manifest import IdsFrontend, Manifest, Output, Part, Scorer, Table
from embedkit.bundle.writer import write_manifest
from embedkit.testing.tiny import tiny_bundle

DIM = 8
PAIR = [Part(field="query"), Part(lit="|"), Part(field="document")]
"""The template of a pair: one text of both."""


def eighths(*shape: int, seed: int = 0) -> np.ndarray:
    """Multiples of 1/8 between -1 and 1, float32."""
    return (np.random.default_rng(seed).integers(-8, 9, shape) / 8).astype(np.float32)


def changed(folder: Path, change: Callable[[Manifest], Mapping[str, Any]]) -> Path:
    """The bundle with parts of its manifest replaced, and the hashes of its files renewed."""
    manifest = Bundle.open(folder).manifest
    write_manifest(folder, msgspec.structs.replace(manifest, **change(manifest)))
    return folder


def with_logits(
    folder: Path, head: np.ndarray, *, labels: Sequence[str] = (), activation: str = "identity", pair: bool = False
) -> Path:
    """A tiny bundle with an output ``logits``: the sum of the tokens' vectors times ``head`` (`DIM`, labels)."""
    tiny_bundle(folder, dim=DIM, variants=("fp32",))
    model = onnx.load(str(folder / "model.fp32.onnx"))
    model.graph.initializer.append(numpy_helper.from_array(head, "head"))
    model.graph.node.append(helper.make_node("MatMul", ["summed", "head"], ["logits"]))
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", head.shape[1]]))
    onnx.save(model, str(folder / "model.fp32.onnx"))
    logits = Output(kind="logits", dim=head.shape[1], labels=list(labels), activation=activation)

    def change(manifest: Manifest) -> Mapping[str, Any]:
        tower = manifest.towers["default"]
        frontend = msgspec.structs.replace(tower.frontend, **({"template": PAIR} if pair else {}))
        tower = msgspec.structs.replace(tower, frontend=frontend, outputs={**tower.outputs, "logits": logits})
        return {"towers": {"default": tower}, "scorers": {}}

    return changed(folder, change)


def sums(plain: Path, texts: Sequence[str]) -> np.ndarray:
    """(n, `DIM`) sums of the tokens' vectors, of a tiny bundle that gives these vectors."""
    from embedkit import Encoder

    given = Encoder.load(plain, variant="fp32", on_truncate="ignore").encode(list(texts), output="multivector")
    return np.stack([given[i].sum(axis=0) for i in range(len(texts))])


def with_pair_head(folder: Path, weights: np.ndarray) -> Path:
    """A tiny bundle with a head for pairs of vectors: left and right, one behind the other, times ``weights``
    (2 * `DIM`, outputs)."""
    tiny_bundle(folder, dim=DIM, variants=("fp32",))
    graph = helper.make_graph(
        [
            helper.make_node("Concat", ["left", "right"], ["both"], axis=1),
            helper.make_node("MatMul", ["both", "weights"], ["score"]),
        ],
        "pair",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", DIM]) for name in ("left", "right")],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", weights.shape[1]])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "pair.onnx"))
    scorer = Scorer(fn="pair", left="query.dense", right="document.dense", graph="pair.onnx")
    return changed(folder, lambda manifest: {"scorers": {**manifest.scorers, "pair": scorer}})


def of_ids(folder: Path, table: tuple[Sequence[str], np.ndarray] | None = None) -> Path:
    """A tiny bundle that reads sequences of ids below 259, of which 258 is the padding, with a table ``items``."""
    tiny_bundle(folder, dim=DIM, variants=("fp32",))
    frontend = IdsFrontend(size=259, max=64, pad_id=258)
    if table is not None:
        np.savez(folder / "items.npz", ids=np.array(table[0]), vectors=table[1])
    (folder / "tokenizer.json").unlink()
    with np.load(folder / "golden.npz") as data:
        golden = dict(data)
    # The ids that the tokenizer made of the golden texts, so that their vectors stay.
    ids = [[256, *str(text).encode()[:62], 257] for text in golden["texts"]]
    golden["texts"] = np.array([" ".join(map(str, one)) for one in ids])
    np.savez(folder / "golden.npz", **golden)

    def change(manifest: Manifest) -> Mapping[str, Any]:
        towers = {role: msgspec.structs.replace(tower, frontend=frontend) for role, tower in manifest.towers.items()}
        tables = {} if table is None else {"items": Table(file="items.npz", output="document.dense")}
        return {"schema": 2, "towers": towers, "tables": tables}

    return changed(folder, change)


def with_decoder(folder: Path) -> Path:
    """A tiny bundle whose tokenizer can make a text of its tokens."""
    from tokenizers import Tokenizer, decoders

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return changed(folder, lambda manifest: {})
