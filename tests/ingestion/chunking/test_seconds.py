"""Parts of long sounds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from embedkit import InputError
from embedkit.ingestion.chunking.seconds import length_of, sound_parts

soundfile = pytest.importorskip("soundfile")


@pytest.mark.parametrize(
    ("length", "size", "overlap", "expected"),
    [
        (7.5, 10, 2, [(0, 7.5)]),
        (10, 10, 2, [(0, 10)]),
        (10.5, 10, 2, [(0, 10), (0.5, 10.5)]),
        (26, 10, 2, [(0, 10), (8, 18), (16, 26)]),
        (27, 10, 2, [(0, 10), (8, 18), (16, 26), (17, 27)]),
        (3, 1, 0, [(0, 1), (1, 2), (2, 3)]),
        (0.35, 0.1, 0, [(0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.25, 0.35)]),
    ],
)
def test_parts(length: float, size: float, overlap: float, expected: list[tuple[float, float]]) -> None:
    assert sound_parts(length, size, overlap) == expected


@pytest.mark.parametrize("seed", range(20))
def test_parts_cover_a_sound_and_have_one_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, size = (round(float(value), 3) for value in (rng.uniform(1, 100), rng.uniform(0.5, 20)))
    overlap = round(float(rng.uniform(0, size * 0.9)), 3)
    parts = sound_parts(length, size, overlap)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    for (start, end), (after, _) in pairwise(parts):
        assert start < after <= end
        assert end - after >= overlap - 0.002
        assert end - start == pytest.approx(size, abs=0.002)


def test_the_length_of_a_row(tmp_path: Path) -> None:
    assert length_of({"seconds": 3}) == 3.0
    soundfile.write(tmp_path / "a.wav", np.zeros(4_000, np.float32), 16_000)
    assert length_of({"uri": str(tmp_path / "a.wav")}) == 0.25
    with pytest.raises(InputError, match="expected its file as `uri`"):
        length_of({"seconds": "3"})
    with pytest.raises(InputError, match=r"none\.wav: cannot be read"):
        length_of({"uri": str(tmp_path / "none.wav")})
