"""How large the values of a graph are, in numbers and in names."""

from __future__ import annotations

import functools
import re
from typing import Any

import onnx_ir as ir
import sympy


class Whole(Exception):
    """This attention cannot be computed in parts."""


def dims(value: ir.Value | None) -> list[Any]:
    """Each axis' size: a number, the one spelling of its name, or an object that equals no other. Raises `Whole` for a value
    without a shape."""
    if value is None or value.shape is None:
        raise Whole
    return [dim if isinstance(dim, int) else _simple(dim.value) if dim.value else object() for dim in value.shape]


def quadratic(value: ir.Value) -> bool:
    """Whether two axes are as long as the text."""
    if value.shape is None:
        return False
    symbols = [dim for dim in dims(value) if isinstance(dim, str)]
    return any(symbols.count(symbol) > 1 for symbol in symbols)


@functools.cache
def _simple(dim: str) -> str:
    """One spelling for sizes that are equal, such as of ``((tokens**2)//tokens)``."""
    names = [name for name in re.findall(r"[A-Za-z_]\w*", dim) if not hasattr(sympy, name)]
    try:
        return str(sympy.sympify(dim, locals={name: sympy.Symbol(name, integer=True, positive=True) for name in names}))
    except (sympy.SympifyError, TypeError, ValueError, SyntaxError):  # a function that sympy has not: as it stands
        return dim
