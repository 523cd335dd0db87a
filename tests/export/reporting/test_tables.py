"""Tables of vectors as files of a bundle."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from embedkit.errors import ExportError
from embedkit_export.reporting.tables import table_file, write_tables


def plan(weight: torch.Tensor, dim: int, name: str = "table", skip: tuple[int, ...] = ()) -> SimpleNamespace:
    backbone = SimpleNamespace(state_dict=lambda: {"table": weight})
    graph = SimpleNamespace(module=SimpleNamespace(backbone=backbone), outputs={"dense": SimpleNamespace(dim=dim)})
    tables = {"items": SimpleNamespace(weights=name, skip=list(skip))}
    role = SimpleNamespace(graph="default")
    return SimpleNamespace(graphs={"default": graph}, roles={"default": role}, recipe=SimpleNamespace(tables=tables))


def test_rows_have_their_numbers_as_ids(tmp_path: Path) -> None:
    weight = torch.randn(4, 3).half()
    write_tables(plan(weight, 3, skip=(0, 2)), tmp_path)
    with np.load(tmp_path / table_file("items"), allow_pickle=False) as file:
        assert file["ids"].tolist() == ["1", "3"]
        assert np.array_equal(file["vectors"], weight.float().numpy()[[1, 3]])


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    for given, message in (
        (plan(torch.ones(4, 3), 2), r"expected \(n, 2\) numbers.*found \(4, 3\)"),
        (plan(torch.ones(4), 4), r"found \(4,\)"),
        (plan(torch.ones(4, 3), 3, name="none"), "no parameter 'none'; it has table"),
    ):
        with pytest.raises(ExportError, match=message):
            write_tables(given, tmp_path)
    assert not list(tmp_path.iterdir())
