"""Export a trained PyTorch text encoder as an embedkit bundle: captured, fused, quantised, and proved against torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.errors import MissingExtraError

__all__ = ["ExportReport", "Gates", "export"]

if TYPE_CHECKING:
    from .exporting import ExportReport as ExportReport
    from .exporting import export as export
    from .verify import Gates as Gates


_PACKAGES = (
    "torch",
    "transformers",
    "sentence_transformers",
    "optimum",
    "onnx",
    "onnx_ir",
    "onnxscript",
    "onnxruntime",
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'embedkit_export' has no attribute {name!r}")
    try:
        from . import exporting, verify
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        raise MissingExtraError(package, "export", "exporting a model") from error
    return getattr(verify if name == "Gates" else exporting, name)
