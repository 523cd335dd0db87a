"""The parts of a live model that the roles of a recipe go through."""

from __future__ import annotations

from dataclasses import replace

from embedkit.errors import ExportError
from embedkit_export.sources.source import Source


def module_of(origin: Source, name: str, where: str) -> Source:
    """The source of one module of a live model, by the name of its attribute. Raises `ExportError` that lists those there are."""
    try:
        module = origin.backbone.get_submodule(name)
    except AttributeError:
        known = ", ".join(child for child, _ in origin.backbone.named_children()) or "none"
        raise ExportError(
            f"{where}: module: {type(origin.backbone).__name__} has no module {name!r}; it has {known}"
        ) from None
    return replace(origin, backbone=module, whole=None, routes={})
