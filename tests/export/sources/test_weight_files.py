"""Weights that a recipe names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from embedkit.errors import ExportError
from embedkit_export.sources.weight_files import LARGE, Weights, let_go


def test_the_first_folder_that_has_the_file_and_the_checkpoint(tmp_path: Path) -> None:
    recipe, model = tmp_path / "recipe", tmp_path / "model"
    for number, folder in enumerate((recipe, model)):
        folder.mkdir()
        np.savez(folder / "w.npz", **{"a.b": np.full(2, number, np.float32), "c": np.zeros(1, np.float32)})
    save_file({"head.weight": torch.ones(3)}, model / "model.safetensors")
    found = Weights([recipe, model], model)
    assert found.get("w.npz:a")["b"].tolist() == [0, 0]
    assert set(found.get("w.npz")) == {"a.b", "c"}
    assert found.get("checkpoint:head")["weight"].tolist() == [1, 1, 1]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"head.weight": np.ones(1, np.float32)})
    for reference, message in (
        ("w.npz:hea", "nothing under 'hea'; there are head"),
        ("none.npz:x", "'none.npz': there is no such file"),
        ("checkpoint:x", "'checkpoint': there is no such file"),
    ):
        with pytest.raises(ExportError, match=message):
            Weights([tmp_path], None).get(reference)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Weights([tmp_path], None).get("w.npz")


def test_large_weights_are_let_go_and_what_else_holds_their_numbers_keeps_them() -> None:
    module = nn.Sequential(nn.Embedding(1024, 64), nn.Linear(64, 8))
    table, small = module[0].weight, module[1].weight
    numbers = table.detach().numpy()
    before, kept = numbers.copy(), small.detach().clone()
    let_go([module])
    assert table.numel() == 0
    assert np.array_equal(numbers, before)
    assert torch.equal(small, kept)
    with pytest.raises(RuntimeError):
        module(torch.zeros(1, dtype=torch.int64))


def test_no_weight_holds_the_file_that_it_was_mapped_from(tmp_path: Path) -> None:
    """Small ones, and those of buffers, are views of one storage with the large ones."""
    (tmp_path / "weights").write_bytes(np.arange(LARGE + 8, dtype=np.float32).tobytes())
    whole = torch.from_file(str(tmp_path / "weights"), size=LARGE + 8)
    module = nn.Module()
    module.large, module.small = nn.Parameter(whole[:LARGE]), nn.Parameter(whole[LARGE : LARGE + 4])
    module.register_buffer("places", whole[LARGE + 4 :])
    let_go([module])
    sizes = [tensor.untyped_storage().nbytes() for tensor in (module.large, module.small, module.places)]
    assert sizes == [0, 16, 16]
    assert module.small.tolist() == [LARGE, LARGE + 1, LARGE + 2, LARGE + 3]
    assert module.places.tolist() == [LARGE + 4, LARGE + 5, LARGE + 6, LARGE + 7]
