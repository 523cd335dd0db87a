"""torch's ONNX exporter without what it does again for every program: a third of a small model's capture.

Both shortcuts stand in for functions of torch while a capture runs, give what these give, and leave them alone in a torch
that has them no longer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

try:
    from torch.onnx._internal.exporter._registration import ONNXRegistry
    from torch.onnx._internal.fx.passes import type_promotion
except ImportError:  # pragma: no cover - another torch, which does all of it
    ONNXRegistry = type_promotion = None  # type: ignore[assignment,misc]


@contextmanager
def in_short() -> Iterator[None]:
    """While this holds, torch's table of ONNX functions is made once a process, and types are promoted where they are mixed."""
    if type_promotion is None:  # pragma: no cover
        yield
        return
    interpreter = type_promotion._TypePromotionInterpreter
    with (
        patch.object(ONNXRegistry, "from_torchlib", staticmethod(_table)),
        patch.object(interpreter, "run", _promote(interpreter.run), create=True),
    ):
        yield


@functools.cache
def _table(opset_version: int) -> Any:
    return _MAKE(opset_version=opset_version)


_MAKE: Any = None if ONNXRegistry is None else ONNXRegistry.from_torchlib


def _promote(whole: Any) -> Any:
    """Torch runs the program again to know what each node is given. A captured program's nodes say so themselves."""

    def run(interpreter: Any, *args: Any) -> Any:
        nodes = list(interpreter.module.graph.nodes)
        if any("val" not in node.meta for node in nodes if node.op != "output"):
            return whole(interpreter, *args)
        interpreter.env = {node: node.meta["val"] for node in nodes if node.op != "output"}
        for node in nodes:
            rule = type_promotion.get_type_promotion_rule(node, interpreter.type_promotion_table)
            if rule:
                with interpreter._set_current_node(node):
                    interpreter._maybe_promote_node(node, rule)
        return None

    return run
