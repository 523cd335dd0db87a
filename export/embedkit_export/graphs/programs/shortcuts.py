"""torch's ONNX exporter without what it does again for every program, a third of a small model's capture, and without what it
keeps of one.

Both shortcuts stand in for functions of torch while a capture runs, give what these give, and leave them alone in a torch
that has them no longer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from onnxscript import rewriter

try:
    from torch.onnx._internal.exporter._registration import ONNXRegistry
    from torch.onnx._internal.fx.passes import type_promotion

    _INTERPRETER: Any = type_promotion._TypePromotionInterpreter
    _MAKE: Any = ONNXRegistry.from_torchlib
    _KNOWN = hasattr(_INTERPRETER, "_maybe_promote_node") and hasattr(_INTERPRETER, "_set_current_node")
except (ImportError, AttributeError):  # pragma: no cover - another torch, which does all of it
    _KNOWN = False


@contextmanager
def in_short() -> Iterator[None]:
    """While this holds, torch's table of ONNX functions is made once a process, and types are promoted where they are mixed. After it
    no captured program is kept."""
    try:
        with ExitStack() as patches:
            if _KNOWN:
                patches.enter_context(patch.object(ONNXRegistry, "from_torchlib", staticmethod(_table)))
                patches.enter_context(patch.object(_INTERPRETER, "run", _promote(_INTERPRETER.run), create=True))
            yield
    finally:
        _let_go()


def _let_go() -> None:
    """Rules that rewrite graphs hold the last node that each has seen, and with it a whole graph and its weights."""
    for rule in getattr(rewriter, "_DEFAULT_REWRITE_RULES", ()):
        held = vars(getattr(rule, "_matcher", rule))
        held.update(dict.fromkeys(held.keys() & {"_current_node", "_graph", "_match"}))


@functools.cache
def _table(*args: Any, **options: Any) -> Any:
    return _MAKE(*args, **options)


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
