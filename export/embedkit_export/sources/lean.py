"""torch, transformers and sentence-transformers for a command that loads one model and ends, in less time."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def import_libraries() -> None:
    """Import the libraries that load a model.

    - Python's garbage collector leaves out what they make, which stays: else it would go through all of it again and
      again, and once more at the end of the process. Together that is a third of the CPU time.
    - scikit-learn, which with SciPy and pandas takes a sixth, is imported once a distance of vectors is computed by it.

    Does nothing where torch is imported already; that a library is missing is said by what loads a model.
    """
    if "torch" in sys.modules:
        return
    gc.disable()
    try:
        with suppress(ImportError), _later("sklearn.metrics", "pairwise_distances"):
            importlib.import_module("sentence_transformers")
    finally:
        gc.enable()
        gc.freeze()


@contextmanager
def _later(module: str, function: str) -> Iterator[None]:
    """While other modules are imported, let ``module`` have this function alone, which imports the real one when called."""
    names = [module.partition(".")[0], module]

    def called(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*args, **kwargs)

    if any(name in sys.modules for name in names):
        yield
        return
    for name in names:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)  # others look whether it is installed
    setattr(sys.modules[module], function, called)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
