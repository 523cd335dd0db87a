"""Clips that go through a graph together."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Audio
from embedkit.bundle.manifest import AudioFrontend
from embedkit.runtime.frontends.audio.batches import AudioPreparer
from embedkit.runtime.frontends.base import Batch, Unencodable
from helpers.audio_frontends import mel_bank, mel_frontend

CONVOLUTIONS = [[10, 5], [3, 2]]
NOISE = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)


def waves(*sizes: int) -> list[Audio]:
    return [Audio(NOISE[:size], 16_000) for size in sizes]


def test_samples_of_other_lengths_with_their_frames() -> None:
    preparer = AudioPreparer(AudioFrontend(rate=16_000, batch="longest", convolutions=CONVOLUTIONS), None)
    sizes = (1000, 25, 3000, 990)
    batches = preparer.batches(waves(*sizes), 10_000, None)
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == [0, 1, 2, 3]
    for batch in batches:
        check_batch(batch, sizes)


def check_batch(batch: Batch, sizes: tuple[int, ...]) -> None:
    tensors = batch.tensors(len(batch.rows) + 1)
    for place, row in enumerate(batch.rows):
        size = sizes[row]
        assert np.array_equal(tensors["samples"][place, :size], NOISE[:size])
        assert not tensors["samples"][place, size:].any()
        frames = ((size - 10) // 5 + 1 - 3) // 2 + 1
        assert tensors["length"][place] == frames == tensors["mask"][place].sum()
    assert tensors["length"][-1] == 1
    assert batch.tokens == tensors["length"][:-1].sum()


def test_a_clip_of_one_frame_is_never_one_row_of_a_product() -> None:
    preparer = AudioPreparer(AudioFrontend(rate=16_000, batch="longest", convolutions=CONVOLUTIONS), None)
    (batch,) = preparer.batches(waves(20), 100, None)
    tensors = batch.tensors(1)
    assert tensors["mask"].tolist() == [[1, 0]]


def test_a_budget_of_slots() -> None:
    preparer = AudioPreparer(AudioFrontend(rate=16_000, batch="equal", convolutions=CONVOLUTIONS), None)
    batches = preparer.batches(waves(1000, 500, 1000, 1000), 200, None)  # 1,000 samples are 99 frames
    assert sorted(batch.rows.tolist() for batch in batches) == [[0, 2], [1], [3]]


def test_clips_of_a_fixed_size_are_prepared_when_they_are_asked_for() -> None:
    frontend = mel_frontend(slots=50)
    preparer = AudioPreparer(frontend, mel_bank(frontend))
    batches = preparer.batches([*waves(2000, 3000), Audio(data=b"no sound")], 100, None)
    assert [batch.rows.tolist() for batch in batches] == [[0, 1], [2]]
    tensors = batches[0].tensors(3)
    assert tensors["features"].shape == (3, 8, 20)
    assert np.array_equal(tensors["features"][1], mel_bank(frontend)(NOISE[:3000]))
    assert not tensors["features"][2].any()
    with pytest.raises(Unencodable, match="no sound that can be read"):
        batches[1].tensors(1)
