"""Optional packages, imported when they are needed, or named with the extra that installs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from embedkit.errors import MissingExtraError

_PACKAGES = {
    "PIL": "pillow",
    "Stemmer": "PyStemmer",
    "docx": "python-docx",
    "huggingface_hub": "huggingface-hub",
    "pptx": "python-pptx",
    "pytrec_eval": "pytrec-eval-terrier",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""The packages that are called otherwise than their modules."""


def needed(module: str, why: str, *, extra: str = "eval") -> Any:
    """The module ``module``, such as ``scipy.stats``; where it cannot be imported `MissingExtraError`, which says that
    ``why`` (such as "reading HTML") needs its package, and that ``extra`` brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MissingExtraError(_PACKAGES.get(name, name), extra, why) from error
