"""Export a trained PyTorch text encoder as an embedkit bundle: captured, fused, quantised, and proved against torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from embedkit.errors import MissingExtraError

if TYPE_CHECKING:
    from embedkit_export.modules.fitting import fit_whitening as fit_whitening
    from embedkit_export.modules.fitting import logistic_head as logistic_head
    from embedkit_export.modules.parts.gate import ChoiceGate as ChoiceGate
    from embedkit_export.modules.parts.roi_align import RoiAlign as RoiAlign
    from embedkit_export.pipeline.exporting import export as export
    from embedkit_export.plan.prepare import Prepared as Prepared
    from embedkit_export.plan.prepare import prepare as prepare
    from embedkit_export.recipes.features import FeaturesInput as FeaturesInput
    from embedkit_export.recipes.images import ImageInput as ImageInput
    from embedkit_export.recipes.recipe import CrossOf as CrossOf
    from embedkit_export.recipes.recipe import IdsInput as IdsInput
    from embedkit_export.recipes.recipe import Pooling as Pooling
    from embedkit_export.recipes.recipe import Recipe as Recipe
    from embedkit_export.recipes.recipe import Role as Role
    from embedkit_export.recipes.recipe import Side as Side
    from embedkit_export.recipes.recipe import TableOf as TableOf
    from embedkit_export.recipes.recipe import TokenChoice as TokenChoice
    from embedkit_export.recipes.surgery import Surgery as Surgery
    from embedkit_export.reporting.profile import explain as explain
    from embedkit_export.reporting.report import ExportReport as ExportReport
    from embedkit_export.verification.gates import Gates as Gates

_HOME = {
    "ChoiceGate": "modules.parts.gate",
    "CrossOf": "recipes.recipe",
    "ExportReport": "reporting.report",
    "FeaturesInput": "recipes.features",
    "Gates": "verification.gates",
    "IdsInput": "recipes.recipe",
    "ImageInput": "recipes.images",
    "Pooling": "recipes.recipe",
    "Prepared": "plan.prepare",
    "Recipe": "recipes.recipe",
    "RoiAlign": "modules.parts.roi_align",
    "Role": "recipes.recipe",
    "Side": "recipes.recipe",
    "Surgery": "recipes.surgery",
    "TableOf": "recipes.recipe",
    "TokenChoice": "recipes.recipe",
    "explain": "reporting.profile",
    "export": "pipeline.exporting",
    "fit_whitening": "modules.fitting",
    "logistic_head": "modules.fitting",
    "prepare": "plan.prepare",
}
__all__ = [
    "ChoiceGate",
    "CrossOf",
    "ExportReport",
    "FeaturesInput",
    "Gates",
    "IdsInput",
    "ImageInput",
    "Pooling",
    "Prepared",
    "Recipe",
    "RoiAlign",
    "Role",
    "Side",
    "Surgery",
    "TableOf",
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
