"""The runtime on a real trained model: against torch, and against itself in every batch, order and thread."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedkit import DeviceError, Encoder, InputError
from helpers.texts import mixed


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return mixed(160, longest=200)


@pytest.fixture(scope="module")
def torch_vectors(minilm_folder: Path, texts: list[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    return np.asarray(SentenceTransformer(str(minilm_folder), device="cpu").encode(texts, show_progress_bar=False))


def test_equals_torch(minilm_bundle: Path, texts: list[str], torch_vectors: np.ndarray) -> None:
    fp32 = Encoder.load(minilm_bundle, variant="fp32", on_truncate="ignore").encode(texts)
    assert fp32.dtype == np.float32
    assert np.abs(fp32 - torch_vectors).max() < 1e-4
    int8 = Encoder.load(minilm_bundle, variant="int8", on_truncate="ignore").encode(texts)
    assert (int8 * torch_vectors).sum(axis=1).min() >= 0.993


def test_a_vector_does_not_depend_on_its_batch(trained: Encoder, texts: list[str]) -> None:
    texts = texts[:90]
    together = trained.encode(texts)
    order = random.Random(1).sample(range(len(texts)), len(texts))
    shuffled = trained.encode([texts[i] for i in order])
    assert np.array_equal(shuffled.view(np.uint32), together[order].view(np.uint32))
    for i in range(0, len(texts), 23):
        assert trained.encode([texts[i]]).tobytes() == together[i].tobytes()
        strangers = mixed(63, longest=60, seed=i + 1)
        assert trained.encode([*strangers, texts[i]])[-1].tobytes() == together[i].tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(st.text(st.characters(codec="utf-8"), max_size=400), min_size=2, max_size=12))
def test_any_batch_of_any_text(trained: Encoder, batch: list[str]) -> None:
    together = trained.encode(batch)
    alone = np.stack([trained.encode(text) for text in batch])
    assert np.array_equal(together.view(np.uint32), alone.view(np.uint32))
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_token_budget_and_threads_change_nothing(minilm_bundle: Path, trained: Encoder, texts: list[str]) -> None:
    texts = texts[:60]
    expected = trained.encode(texts)
    for budget, threads in ((1, 1), (700, 3), (20_000, 2)):
        other = Encoder.load(
            minilm_bundle, variant=trained.variant, token_budget=budget, threads=threads, on_truncate="ignore"
        )
        assert np.array_equal(other.encode(texts), expected)


def test_threads_share_an_encoder(trained: Encoder, texts: list[str]) -> None:
    expected = trained.encode(texts[:60])
    found: dict[int, np.ndarray] = {}

    def work(start: int) -> None:
        found[start] = trained.encode(texts[start : start + 15])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 60, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.concatenate([found[start] for start in sorted(found)]), expected)


def test_choices(minilm_bundle: Path) -> None:
    encoder = Encoder.load(minilm_bundle, engine="onnxruntime")
    assert (encoder.device, encoder.variant, encoder.dim, encoder.max_tokens, encoder.metric) == (
        "cpu",
        "int8",
        384,
        256,
        "cosine",
    )
    assert encoder.roles == ["default", "document", "query"]
    with pytest.raises(InputError, match="role"):
        encoder.encode("a", role="passage")
    with pytest.raises(DeviceError, match="this bundle has fp32, int8"):
        Encoder.load(minilm_bundle, variant="fp16")
    with pytest.raises(DeviceError, match="found 'tpu'"):
        Encoder.load(minilm_bundle, device="tpu")
    for name in ("threads", "token_budget"):
        with pytest.raises(InputError, match=name):
            Encoder.load(minilm_bundle, **{name: 0})  # type: ignore[arg-type]
