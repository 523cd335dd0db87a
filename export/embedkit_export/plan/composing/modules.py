"""The parts of a live model that the roles of a recipe go through."""

from __future__ import annotations

from dataclasses import replace

from embedkit.errors import ExportError
from embedkit_export.recipes.recipe import Role
from embedkit_export.sources.source import Source


def names_parts(role: Role) -> bool:
    """Whether a role says what is done by itself, so that nothing of the model is to be found out: a module of it, parts of items,
    numbers that were made before."""
    return role.module is not None or bool(role.parts) or role.features is not None


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
