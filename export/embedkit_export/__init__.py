"""Export a trained PyTorch text encoder as an embedkit bundle: captured, fused, quantised, and proved against torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from embedkit.errors import MissingExtraError

if TYPE_CHECKING:
    from .assembly import fit_whitening as fit_whitening
    from .exporting import export as export
    from .gates import Gates as Gates
    from .logistic import logistic_head as logistic_head
    from .preparing import Prepared as Prepared
    from .preparing import prepare as prepare
    from .profiling import explain as explain
    from .recipe import Pooling as Pooling
    from .recipe import Recipe as Recipe
    from .recipe import Role as Role
    from .recipe import Side as Side
    from .recipe import TokenChoice as TokenChoice
    from .report import ExportReport as ExportReport
    from .surgery import Surgery as Surgery

_HOME = {
    "ExportReport": "report",
    "Gates": "gates",
    "Pooling": "recipe",
    "Prepared": "preparing",
    "Recipe": "recipe",
    "Role": "recipe",
    "Side": "recipe",
    "Surgery": "surgery",
    "TokenChoice": "recipe",
    "explain": "profiling",
    "export": "exporting",
    "fit_whitening": "assembly",
    "logistic_head": "logistic",
    "prepare": "preparing",
}
__all__ = [
    "ExportReport",
    "Gates",
    "Pooling",
    "Prepared",
    "Recipe",
    "Role",
    "Side",
    "Surgery",
    "TokenChoice",
    "explain",
    "export",
    "fit_whitening",
    "logistic_head",
    "prepare",
]

_PACKAGES = (
    "huggingface_hub",
    "matplotlib",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "onnxscript",
    "optimum",
    "safetensors",
    "sentence_transformers",
    "torch",
    "transformers",
)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'embedkit_export' has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        raise MissingExtraError(package, "export", "exporting a model") from error
