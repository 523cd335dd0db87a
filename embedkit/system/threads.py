"""Functions that block, as ones that a program of coroutines awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Taken = ParamSpec("Taken")
Given = TypeVar("Given")


def awaited(
    function: Callable[Taken, Given], module: str, name: str, text: str
) -> Callable[Taken, Coroutine[Any, Any, Given]]:
    """A coroutine function of this ``module``, ``name`` and docstring that runs ``function``, with the same parameters, on a thread of
    `asyncio`'s pool. A call that is cancelled is left at once; its thread ends when the function does, and so nothing is done by
    halves."""

    @wraps(function)
    async def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Given:
        return await asyncio.to_thread(function, *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__, call.__doc__ = module, text
    return call
