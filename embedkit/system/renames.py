"""Old names of parameters, which are taken still, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def renamed(**names: str) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """A decorator for a function whose keyword ``old`` is called ``new`` now, as ``renamed(old="new")``.

    The old keyword means the new one, with a `DeprecationWarning` that names both and points at the caller; who gives both
    gets the `TypeError` of a value given twice. ``__renamed__`` of the function holds ``{"old": "new"}``.
    """

    def decorate(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        name = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            for old, new in names.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise TypeError(f"{name}() got the argument {new!r} twice, once by its old name {old!r}")
                warnings.warn(f"{name}: {old}= is called {new}= now", DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        call.__renamed__ = names  # type: ignore[attr-defined]
        return call

    return decorate
