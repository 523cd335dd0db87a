"""Worker processes: the vectors of one process, also when workers are killed, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedkit import Encoder, EncoderPool, InputError, TruncationError, TruncationWarning, WorkerError, fit_ranges
from embedkit.encoders.info import Stats
from embedkit.testing.tiny import tiny_bundle
from helpers.texts import mixed

TEXTS = [*mixed(700, longest=30), "same", "same", ""]


@pytest.fixture(scope="module")
def pool(bundle: Path) -> Iterator[EncoderPool]:
    with EncoderPool.load(bundle, workers=2, variant="fp32", on_truncate="ignore") as pool:
        yield pool


def test_the_vectors_of_one_process(pool: EncoderPool, encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    assert pool.encode(TEXTS).tobytes() == expected.tobytes()
    assert pool.encode_query(TEXTS[0], dim=5).tobytes() == encoder.encode_query(TEXTS[0], dim=5).tobytes()
    ranges = fit_ranges(expected)
    for parts in (pool.stream(TEXTS * 7, precision="int8", ranges=ranges),):
        assert np.array_equal(np.concatenate(list(parts)), encoder.encode(TEXTS * 7, precision="int8", ranges=ranges))
    assert pool.encode([]).shape == (0, encoder.dim)
    about = ("dim", "fingerprint", "metric", "max_tokens", "roles", "variant", "device", "token_budget")
    assert [getattr(pool, name) for name in about] == [getattr(encoder, name) for name in about]


def test_a_real_model(minilm_bundle: Path) -> None:
    texts = mixed(120, longest=120)
    # Named, since which engine is faster is measured anew for another number of threads.
    options: dict[str, Any] = {"engine": "onnxruntime", "on_truncate": "ignore"}
    with EncoderPool.load(minilm_bundle, workers=2, **options) as pool:
        assert pool.encode(texts).tobytes() == Encoder.load(minilm_bundle, **options).encode(texts).tobytes()


def test_statistics_errors_and_warnings_are_those_of_one_process(bundle: Path, pool: EncoderPool) -> None:
    one = Encoder.load(bundle, variant="fp32")
    texts = ["short", "long " * 30, "long " * 30, *TEXTS[:40]]
    with pytest.warns(TruncationWarning) as expected:
        one.encode(texts)
    pool.stats, pool.on_truncate = Stats(), "warn"
    with pytest.warns(TruncationWarning) as found:
        pool.encode(texts)
    assert str(found[0].message) == str(expected[0].message)
    assert (pool.stats.texts, pool.stats.truncated, pool.stats.tokens) == (
        one.stats.texts,
        one.stats.truncated,
        one.stats.tokens,
    )
    pool.on_truncate = "error"
    with pytest.raises(TruncationError, match="text 1 is longer"):
        pool.encode(texts)
    pool.on_truncate = "ignore"
    with pytest.raises(InputError, match="text 2: expected a string, found int"):
        pool.encode(["a", "b", 3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="role"):
        pool.encode("a", role="nothing")


def test_what_cannot_be_loaded_is_said(tmp_path: Path, bundle: Path) -> None:
    from embedkit import BundleError, DeviceError

    with pytest.raises(DeviceError, match="variant 'fp16'"):
        EncoderPool.load(bundle, workers=1, variant="fp16")
    with pytest.raises(InputError, match="workers"):
        EncoderPool.load(bundle, workers=0)
    broken = tiny_bundle(tmp_path / "bundle")
    (broken / "model.fp32.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError):
        EncoderPool.load(broken, workers=2, variant="fp32")


def test_a_closed_pool(bundle: Path) -> None:
    pool = EncoderPool.load(bundle, workers=1)
    pool.close()
    pool.close()
    with pytest.raises(WorkerError, match="closed"):
        pool.encode("x")
