"""Clips of any length as the mean of the vectors of their windows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from embedkit import Audio
from embedkit.bundle.frontends.audio import AudioFrontend, Mel, Windows
from embedkit.runtime.frontends.audio.batches import WindowBatch
from embedkit.runtime.frontends.audio.modality import AudioModality
from helpers.audio_frontends import filters, mel, mel_bank

NOISE = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
MEL = mel(frames=16, log="none", layout="frames", floor=1e-30)
FRONTEND = AudioFrontend(rate=16_000, least=200, mel=MEL, slots=8, windows=Windows(hop=7))


def slices(samples: int, hop: int, size: int, step: int, coverage: float) -> list[int]:
    """As `compute_partial_slices` of Resemblyzer (Apache-2.0) counts them."""
    frames = int(np.ceil((samples + 1) / step))
    starts = list(range(0, max(1, frames - size + hop + 1), hop))
    held = (samples - starts[-1] * step) / (size * step)
    return starts[:-1] if held < coverage and len(starts) > 1 else starts


@pytest.mark.parametrize("samples", [1, 100, 1599, 1600, 1601, 2000, 5000, 30_000])
@pytest.mark.parametrize("least", [0.0, 0.5, 0.75, 1.0])
def test_where_windows_start(samples: int, least: float) -> None:
    assert Windows(hop=7, least=least).starts(samples, MEL) == slices(samples, 7, 16, 100, least)


def modality(folder: Path) -> AudioModality:
    made = AudioModality(FRONTEND, [])
    np.savez(folder / "frontend.npz", filters=filters(MEL), window=np.hanning(MEL.frame))
    made.open(lambda name: folder / name)
    return made


def test_windows_are_parts_of_one_mel(tmp_path: Path) -> None:
    found = modality(tmp_path).prepared([Audio(NOISE[:3000], 16_000), Audio(NOISE[:9000], 16_000)])
    starts = Windows(hop=7).starts(9000, MEL)
    assert found["size"].tolist() == [len(Windows(hop=7).starts(3000, MEL)), len(starts)]
    end = (starts[-1] + 16) * 100
    whole = mel_bank(msgspec.structs.replace(FRONTEND, mel=msgspec.structs.replace(MEL, frames=200)))(
        np.pad(NOISE[:9000], (0, max(0, end - 9000)))
    )
    for number, start in enumerate(starts):
        assert np.allclose(found["features"][1, number], whole[start : start + 16], rtol=1e-6)


def test_batches_hold_whole_clips_and_their_means(tmp_path: Path) -> None:
    made = modality(tmp_path)
    items = [Audio(NOISE[:size], 16_000) for size in (3000, 9000, 200, 40_000)]
    counts = made.prepared(items)["size"].tolist()
    batches = made.open(lambda name: tmp_path / name).batches(items, 8 * sum(counts[:2]), None)
    assert batches[0].rows.tolist() == [0, 1]
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == [0, 1, 2, 3]
    batch = batches[0]
    assert isinstance(batch, WindowBatch)
    assert batch.graph_rows == sum(counts[:2])
    tensors = batch.tensors(batch.graph_rows + 1)
    assert tensors["features"].shape == (batch.graph_rows + 1, 16, 8)
    assert not tensors["features"][-1].any()
    values = np.random.default_rng(1).normal(size=(batch.graph_rows, 3)).astype(np.float32)
    means = [values[: counts[0]].mean(axis=0), values[counts[0] :].mean(axis=0)]
    assert np.allclose(batch.joined(values), means, atol=1e-6)
    batch.about = Windows(hop=7, reduce="mean_normalize")
    assert np.allclose(batch.joined(values), [mean / np.linalg.norm(mean) for mean in means], atol=1e-6)
    assert [batch.item_of(row) for row in range(batch.graph_rows)] == [0] * counts[0] + [1] * counts[1]


def test_prepared_windows_come_back(tmp_path: Path) -> None:
    made = modality(tmp_path)
    arrays = made.prepared([Audio(NOISE[:3000], 16_000), Audio(NOISE[:9000], 16_000)])
    again = made.prepared(made.restored(arrays))
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_windows_that_cannot_be() -> None:
    about = {"kind": "audio", "rate": 16_000, "windows": {"hop": 7}}
    for more in ({"batch": "longest", "convolutions": [[10, 5]]}, {"mel": {**msgspec.to_builtins(MEL), "range": 8.0}}):
        with pytest.raises(msgspec.ValidationError, match="expected `windows` beside a `mel`"):
            msgspec.convert({**about, **more}, AudioFrontend)
    assert isinstance(MEL, Mel)
