"""Models of sentence-transformers that read pictures: what reads them, alone or beside texts."""

from __future__ import annotations

from typing import Any

from embedkit.errors import ExportError
from embedkit_export.sources import routes


def reads(model: Any, kind: str) -> bool:
    """Whether a model of sentence-transformers reads items of a kind (``text``, ``image``)."""
    return any(kind in getattr(module, "modalities", ()) for module in list(model)[:1])


def pipeline(model: Any, kind: str) -> list[Any]:
    """The modules that an item of a kind goes through, in order: of a Router those of its route. Raises `ExportError`."""
    return routes.pipeline(model, "default", kind)


def processor(module: Any) -> Any:
    """The image processor of a Transformer module; `ExportError` where it has none."""
    found = getattr(module, "processor", None)
    inner = getattr(found, "image_processor", None) or (found if hasattr(found, "image_mean") else None)
    if inner is None:
        raise ExportError(f"modules: {type(module).__name__} reads pictures, and has no image processor")
    return inner
