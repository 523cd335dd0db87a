"""Tables of vectors that are not encoded, such as the items of a recommender, as files of the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from embedkit.errors import ExportError
from embedkit_export import files
from embedkit_export.plan.plan import Plan
from embedkit_export.tensors import DENSE


def table_file(name: str) -> str:
    """The file of a table."""
    return f"table.{name}.npz"


def write_tables(plan: Plan, folder: Path) -> None:
    """Write each table that the recipe names; raises `ExportError` where its parameter is not there, or has another size
    than the vectors that it is compared with."""
    graph = plan.graphs[plan.roles["default"].graph]
    known = {
        name: value for name, value in graph.module.backbone.state_dict().items() if isinstance(value, torch.Tensor)
    }
    for name, table in plan.recipe.tables.items():
        found = known.get(table.weights)
        if found is None:
            tables = ", ".join(name for name, value in known.items() if value.ndim == 2)
            raise ExportError(f"tables.{name}: the model has no parameter {table.weights!r}; it has {tables}")
        dim = graph.outputs[DENSE].dim if DENSE in graph.outputs else None
        if found.ndim != 2 or found.shape[1] != dim:
            raise ExportError(
                f"tables.{name}: expected (n, {dim}) numbers, as many as a vector has, found {tuple(found.shape)}"
            )
        skipped = set(table.skip)
        rows = [row for row in range(len(found)) if row not in skipped]
        vectors = found.detach().float().numpy()[rows]
        files.write_npz(folder / table_file(name), {"ids": np.array([str(row) for row in rows]), "vectors": vectors})
