"""Windows grow while they are quick and small, and shrink where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit import Encoder, ingest, open_store
from embedkit.ingestion.pipeline.flow.pace import Pace
from embedkit.records.batch import RecordBatch
from embedkit.records.documents import WriteResult
from embedkit.stores.guarded import GuardedCollection


def after(*windows: tuple[float, float]) -> list[int]:
    """The sizes of windows whose rows take these seconds and bytes each."""
    pace, found = Pace(None), []
    for seconds, size in windows:
        rows = pace()
        found.append(rows)
        pace.took(rows, rows * seconds, round(rows * size))
    return found


def test_quick_windows_grow() -> None:
    assert after(*[(0.001, 1500)] * 7) == [128, 256, 512, 1024, 2048, 2048, 2048]
    assert after(*[(0.01, 1500)] * 5) == [128, 256, 512, 512, 512]


def test_slow_or_large_windows_do_not() -> None:
    assert after(*[(0.05, 1500)] * 4) == [128, 128, 128, 128]
    assert after(*[(0.001, 100_000)] * 4) == [128, 256, 512, 512]
    assert after(*[(1.0, 1500)] * 9) == [128, 64, 32, 16, 16, 16, 16, 16, 16]
    assert after(*[(100.0, 1500)] * 9)[-1] == 1


def test_a_window_of_which_little_is_new_says_little() -> None:
    pace = Pace(None)
    pace.took(0, 9.0, 0)
    pace.took(10, 0.01, 0)
    assert pace() == 128
    pace.took(100, 0.01, 0)
    assert pace() == 256
    pace.took(128, 0.01, 0)
    assert pace() == 256, "what was begun at the size before"
    pace.took(2, 1.0, 0)
    assert pace() == 128


def test_what_is_asked_for_stays() -> None:
    pace = Pace(300)
    for seconds in (0.0, 1e6):
        pace.took(300, seconds, 0)
        assert pace() == 300


@pytest.mark.parametrize("window", [None, 100])
def test_an_ingest_writes_in_such_windows(
    encoder: Encoder, entry_points: None, monkeypatch: pytest.MonkeyPatch, window: int | None
) -> None:
    sizes, upsert = [], GuardedCollection.upsert

    def recorded(self: GuardedCollection, batch: RecordBatch) -> WriteResult:
        sizes.append(len(batch))
        return upsert(self, batch)

    monkeypatch.setattr(GuardedCollection, "upsert", recorded)
    rows = [{"id": str(i), "text": f"text {i}"} for i in range(3000)]
    with open_store(f"memory:pace{window}") as store:
        assert ingest(rows, encoder, store, collection="docs", window=window).written == 3000
        found = store.open("docs").get([row["id"] for row in rows], with_vectors=True)
    assert sizes == [100] * 30 if window else sizes[0] == 128 < max(sizes) <= 2048
    vectors = np.stack([record.vector for record in found if record.vector is not None])
    assert np.array_equal(vectors, encoder.encode([row["text"] for row in rows], role="document"))
