"""The packages of the extra ``eval``, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from embedkit.errors import MissingExtraError

_PACKAGES = {"sklearn": "scikit-learn", "pytrec_eval": "pytrec-eval-terrier"}


def needed(module: str, why: str) -> Any:
    """The module; `MissingExtraError` where its package is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        raise MissingExtraError(_PACKAGES.get(name, name), "eval", why) from error
