"""The files that an export writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from embedkit.bundle.manifest import is_plain_name
from embedkit_export import files
from embedkit_export.graphs.ir_tools import own_copy
from helpers.products import one_product, run


def test_a_role_of_any_name_has_a_file_of_its_own() -> None:
    roles = ["default", "query", "a/b", "a_b", "\u00e9", "../up", "A B", "x" * 300]
    names = [files.file_name(role, "int8") for role in roles]
    assert len(set(names)) == len(roles)
    assert all(is_plain_name(name) and len(name) < 100 for name in names)


def test_a_graph_reads_from_the_files_it_was_saved_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes the same, is saved as the same bytes, and holds no weight of its own."""
    rng = np.random.default_rng(0)
    model = one_product(rng.normal(size=(64, 32)).astype(np.float32).T.copy().T)
    x = {"x": rng.normal(size=(2, 3, 64)).astype(np.float32)}
    expected = run(model, x)
    monkeypatch.setattr(files, "_EXTERNAL_FROM", 0)
    (tmp_path / "again").mkdir()
    name, data = files.save(model, tmp_path, "graph.onnx")
    files.read_from(model, tmp_path, name)
    weight = model.graph.initializers["w"].const_value
    assert isinstance(weight.numpy(), np.memmap)
    assert weight.numpy() is not weight.numpy()
    assert np.array_equal(run(model, x), expected)
    assert np.array_equal(run(own_copy(model), x), expected)
    files.save(model, tmp_path / "again", "graph.onnx")
    for file in (name, *data):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / file).read_bytes()


def test_weights_inside_of_a_graphs_file_stay_where_they_are(tmp_path: Path) -> None:
    model = one_product(np.ones((8, 4), np.float32))
    name, data = files.save(model, tmp_path, "graph.onnx")
    files.read_from(model, tmp_path, name)
    assert not data
    assert isinstance(model.graph.initializers["w"].const_value, ir.Tensor)


def test_another_graphs_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_EXTERNAL_FROM", 0)
    files.save(one_product(np.ones((32, 8), np.float32)), tmp_path, "graph.onnx")
    with pytest.raises(ValueError, match="w is"):
        files.read_from(one_product(np.ones((32, 9), np.float32)), tmp_path, "graph.onnx")
