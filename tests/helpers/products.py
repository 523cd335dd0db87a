"""Graphs of one product, what numpy makes of them, and statistics of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from embedkit_export.graphs import fuse
from embedkit_export.quantization.calibration import sessions, statistics


def feeds(*lengths: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(5, 100, (1, length)) for length in lengths]
    return [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in rows]


def run(model: ir.Model, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = sessions.open_session(model)
    return np.asarray(session.run(None, feed)[0])


def one_product(
    weight: np.ndarray, *, activation: str | None = None, shape: tuple[Any, ...] = ("batch", "tokens")
) -> ir.Model:
    """x (*shape, k), the activation if there is one, MatMul with the weight: y."""
    ids = ir.val("input_ids", shape=ir.Shape(["batch", "tokens"]), type=ir.TensorType(ir.DataType.INT64))
    x = ir.val("x", shape=ir.Shape([*shape, weight.shape[0]]), type=ir.TensorType(ir.DataType.FLOAT))
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 21}, name="g")
    if len(shape) == 1:
        graph.inputs.insert(0, ids)
    value: ir.Value = x
    if activation:
        node = ir.node(activation, [x])
        value = node.outputs[0]
        value.shape, value.type, value.name = x.shape, x.type, "activated"
        graph.append(node)
    product = ir.node("MatMul", [value, fuse.initializer(graph, "w", weight)])
    product.outputs[0].name = "y"
    product.outputs[0].shape, product.outputs[0].type = ir.Shape([*shape, weight.shape[1]]), x.type
    graph.append(product)
    graph.outputs.append(product.outputs[0])
    return ir.Model(graph, ir_version=10)


def by_hand(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Row-wise dynamic int8 in numpy: symmetric around 128, one scale a row, one a column."""
    weight_scale = np.abs(weight).max(0) / 127
    w = np.rint(weight / weight_scale)
    rows = x.reshape(-1, x.shape[-1])
    scale = np.maximum(np.abs(rows).max(1, keepdims=True) / 127, 1e-10)
    q = np.clip(np.rint(rows / scale) + 128, 0, 255) - 128
    return ((q @ w) * scale * weight_scale).reshape(*x.shape[:-1], -1)


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - exact).mean()))


def with_massive_tokens(rng: np.random.Generator, rows: int, k: int, often: int) -> np.ndarray:
    """Normal rows; every ``often``-th has one channel (one of two) some sixty times as large as the others."""
    x = rng.normal(size=(rows, k))
    x[::often] *= 0.1
    x[::often, 5] = 6 + rng.random(len(x[::often]))
    x[:: 2 * often, 5] = 0.1
    x[:: 2 * often, k - 3] = -7
    return x.astype(np.float32)


def statistics_of(x: np.ndarray) -> statistics.Statistics:
    rows = x.reshape(-1, x.shape[-1]).astype(np.float32)
    even = rows / np.sqrt(np.square(rows).mean(1, keepdims=True))
    second = (even.T @ even / len(rows)).astype(np.float32)
    return statistics.Statistics(np.abs(rows).max(0), rows, second)
