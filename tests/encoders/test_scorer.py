"""A head that scores two stored vectors, against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embedkit import BundleError, DeviceError, InputError, Scorer
from helpers.small_bundles import DIM, eighths, with_pair_head

LEFT, RIGHT = eighths(5, DIM, seed=1), eighths(5, DIM, seed=2)


@pytest.mark.parametrize("outputs", [1, 3])
def test_scores_are_those_of_the_head(outputs: int, tmp_path: Path) -> None:
    weights = eighths(2 * DIM, outputs)
    scorer = Scorer.load(with_pair_head(tmp_path / "bundle", weights))
    assert (scorer.dim, scorer.outputs) == (DIM, outputs)
    expected = np.concatenate([LEFT, RIGHT], axis=1) @ weights
    found = scorer.score(LEFT, RIGHT)
    assert np.array_equal(found, expected[:, 0] if outputs == 1 else expected)
    assert not np.array_equal(scorer.score(RIGHT, LEFT), found)
    whole = scorer.similarity(LEFT, RIGHT[:3])
    assert whole.shape == ((5, 3) if outputs == 1 else (5, 3, outputs))
    for i in range(5):
        for j in range(3):
            assert whole[i, j].tobytes() == scorer.score(LEFT[i : i + 1], RIGHT[j : j + 1])[0].tobytes()
    assert scorer.score(LEFT[:0], RIGHT[:0]).shape == expected[:0].shape[: 1 if outputs == 1 else 2]
    assert scorer.similarity(LEFT[:0], RIGHT).shape == ((0, 5) if outputs == 1 else (0, 5, outputs))


def test_more_pairs_than_are_scored_at_a_time(tmp_path: Path) -> None:
    weights = eighths(2 * DIM, 1)
    scorer = Scorer.load(with_pair_head(tmp_path / "bundle", weights))
    left, right = eighths(2_500, DIM, seed=3), eighths(2_500, DIM, seed=4)
    assert np.array_equal(scorer.score(left, right), (np.concatenate([left, right], axis=1) @ weights)[:, 0])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (LEFT, RIGHT[:2]),
        (LEFT[:, :5], RIGHT),
        (LEFT[0], RIGHT[0]),
        (LEFT * np.nan, RIGHT),
        (LEFT, RIGHT * np.inf),
    ],
)
def test_what_cannot_be_paired_is_refused(left: np.ndarray, right: np.ndarray, tmp_path: Path) -> None:
    scorer = Scorer.load(with_pair_head(tmp_path / "bundle", eighths(2 * DIM, 1)))
    with pytest.raises(InputError, match="expected"):
        scorer.score(left, right)


def test_what_cannot_be_loaded_is_said(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(InputError, match="no head for pairs"):
        Scorer.load(bundle)
    made = with_pair_head(tmp_path / "bundle", eighths(2 * DIM, 1))
    with pytest.raises(InputError, match="engine: expected"):
        Scorer.load(made, engine="torch")
    with pytest.raises(DeviceError, match="device: expected"):
        Scorer.load(made, device="tpu")
    with pytest.raises(InputError, match="threads"):
        Scorer.load(made, threads=0)
    (made / "pair.onnx").write_bytes((made / "pair.onnx").read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"pair\.onnx: bytes"):
        Scorer.load(made)
