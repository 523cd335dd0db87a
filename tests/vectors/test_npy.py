from __future__ import annotations

import numpy as np
import pytest

from embedkit.errors import InputError
from embedkit.vectors.npy import write_npy


@pytest.mark.parametrize("sizes", [[], [1], [3, 0, 5], [1000] * 12])
def test_it_is_the_array_of_all_windows(tmp_path, sizes):
    windows = [np.random.default_rng(i).normal(size=(n, 3)).astype(np.float32) for i, n in enumerate(sizes)]
    assert write_npy(tmp_path / "v.npy", iter(windows), dim=3) == sum(sizes)
    found = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert found.dtype == np.float32
    assert found.shape == (sum(sizes), 3)
    assert np.array_equal(found, np.concatenate([np.empty((0, 3), np.float32), *windows]))


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_npy(tmp_path / "none" / "v.npy", [], dim=3)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8])
def test_other_numbers(tmp_path, dtype):
    windows = [np.arange(6).reshape(2, 3).astype(dtype)] * 2
    assert write_npy(tmp_path / "v.npy", iter(windows), dim=3, dtype=dtype) == 4
    found = np.load(tmp_path / "v.npy")
    assert found.dtype == dtype
    assert np.array_equal(found, np.concatenate(windows))
