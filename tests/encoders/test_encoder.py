"""The runtime on a real trained model: against torch, and against itself in every batch, order and thread."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedkit import DeviceError, Encoder, InputError, TruncationError, TruncationWarning
from embedkit.bundle.validation import read_manifest
from embedkit.bundle.writer import write_manifest
from embedkit.testing.tiny import tiny_bundle
from helpers.texts import mixed

VARIANTS = ("fp32", "int8")


@pytest.fixture(scope="module", params=VARIANTS)
def encoder(request: pytest.FixtureRequest, minilm_bundle: Path) -> Encoder:
    return Encoder.load(minilm_bundle, variant=request.param, on_truncate="ignore")


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


def test_a_vector_does_not_depend_on_its_batch(encoder: Encoder, texts: list[str]) -> None:
    together = encoder.encode(texts)
    order = random.Random(1).sample(range(len(texts)), len(texts))
    shuffled = encoder.encode([texts[i] for i in order])
    assert np.array_equal(shuffled.view(np.uint32), together[order].view(np.uint32))
    for i in range(0, len(texts), 23):
        assert encoder.encode([texts[i]]).tobytes() == together[i].tobytes()
        strangers = mixed(63, longest=60, seed=i + 1)
        assert encoder.encode([*strangers, texts[i]])[-1].tobytes() == together[i].tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(st.text(st.characters(codec="utf-8"), max_size=400), min_size=2, max_size=12))
def test_any_batch_of_any_text(encoder: Encoder, batch: list[str]) -> None:
    together = encoder.encode(batch)
    alone = np.stack([encoder.encode(text) for text in batch])
    assert np.array_equal(together.view(np.uint32), alone.view(np.uint32))
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_token_budget_and_threads_change_nothing(minilm_bundle: Path, encoder: Encoder, texts: list[str]) -> None:
    expected = encoder.encode(texts)
    for budget, threads in ((1, 1), (700, 3), (20_000, 2)):
        other = Encoder.load(
            minilm_bundle, variant=encoder.variant, token_budget=budget, threads=threads, on_truncate="ignore"
        )
        assert np.array_equal(other.encode(texts), expected)


def test_threads_share_an_encoder(encoder: Encoder, texts: list[str]) -> None:
    expected = encoder.encode(texts[:120])
    found: dict[int, np.ndarray] = {}

    def work(start: int) -> None:
        found[start] = encoder.encode(texts[start : start + 30])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 120, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.concatenate([found[start] for start in sorted(found)]), expected)


def test_stream_is_lazy_and_in_order(encoder: Encoder) -> None:
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        for i in range(9000):
            read += 1
            yield f"text {i}"

    stream = encoder.stream(source())
    first = next(stream)
    assert read <= 3 * 2048
    rest = list(stream)
    assert read == 9000
    assert len(first) + sum(len(part) for part in rest) == 9000
    assert np.array_equal(
        np.concatenate([first, *rest])[[0, 4321, 8999]], encoder.encode(["text 0", "text 4321", "text 8999"])
    )


def test_an_abandoned_stream_leaves_the_encoder_usable(encoder: Encoder) -> None:
    stream = encoder.stream(f"text {i}" for i in range(10_000))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert encoder.encode(["still there"]).shape == (1, 384)


def test_shapes(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 384)
    assert encoder.encode([], dim=10).shape == (0, 10)
    assert encoder.encode("one").shape == (384,)
    assert encoder.encode(("a", "b")).shape == (2, 384)
    assert encoder.encode(text for text in "abc").shape == (3, 384)
    assert encoder.encode_query("one").shape == (384,)
    assert encoder.encode_document(["one", "two"]).shape == (2, 384)


def test_dim_and_precision(encoder: Encoder) -> None:
    full = encoder.encode(["a text", "another"])
    cut = encoder.encode(["a text", "another"], dim=64)
    assert np.allclose(cut, full[:, :64] / np.linalg.norm(full[:, :64], axis=1, keepdims=True), atol=1e-6)
    half = encoder.encode(["a text"], precision="float16")
    assert half.dtype == np.float16
    assert np.array_equal(half, full[:1].astype(np.float16))
    for bad in (0, 385, True, "8"):
        with pytest.raises(InputError, match="dim"):
            encoder.encode(["a"], dim=bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="float64"):
        encoder.encode(["a"], precision="float64")  # type: ignore[call-overload]


def test_similarity(encoder: Encoder) -> None:
    vectors = encoder.encode(["a cat sat on the mat", "a kitten is sitting on a rug", "quarterly tax returns"])
    scores = encoder.similarity(vectors[0], vectors)
    assert scores.shape == (1, 3)
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert scores[0, 1] > scores[0, 2]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fine", 3], "text 1: expected a string, found int"),
        (["fine", None], "text 1: expected a string, found NoneType"),
        (["fine", b"bytes"], "text 1: expected a string, found bytes"),
        (["fine", "bad \ud800"], r"text 1: lone surrogate U\+D800 at character 4"),
        (b"bytes", "expected a string or an iterable of strings, found bytes"),
        (7, "expected a string or an iterable of strings, found int"),
    ],
)
def test_bad_texts(encoder: Encoder, texts: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encoder.encode(texts)  # type: ignore[call-overload]


def test_odd_texts_have_vectors(encoder: Encoder) -> None:
    vectors = encoder.encode(["", " \n\t ", "\0", "a\0b", "\u200b", "word " * 200_000])
    assert np.isfinite(vectors).all()
    assert vectors[0].tobytes() == vectors[1].tobytes()


def test_truncation_is_counted_and_reported(minilm_bundle: Path) -> None:
    long = "word " * 254
    exact = ("word " * 254).strip()
    encoder = Encoder.load(minilm_bundle)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode([exact])
    with pytest.warns(TruncationWarning, match="1 of 2 texts were longer than the 256 tokens"):
        found = encoder.encode(["short", long + "word"])
    assert encoder.stats.truncated == 1
    assert encoder.stats.texts == 3
    assert found[1].tobytes() == encoder.encode(exact).tobytes()
    strict = Encoder.load(minilm_bundle, on_truncate="error")
    with pytest.raises(TruncationError, match="text 1 is longer than the 256 tokens"):
        strict.encode(["short", long + "word"])


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


def test_int8_that_fails_on_this_machine_is_not_taken(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle")
    assert Encoder.load(folder, engine="onnxruntime").variant == "int8"
    manifest = read_manifest((folder / "embedkit.json").read_bytes(), "embedkit.json")
    with np.load(folder / "golden.npz") as data:
        golden = dict(data)
    golden["vectors.default"] = -golden["vectors.default"]
    np.savez(folder / "golden.npz", **golden)
    write_manifest(folder, manifest)
    with pytest.warns(RuntimeWarning, match="'int8' does not give its golden vectors"):
        assert Encoder.load(folder, engine="onnxruntime").variant == "fp32"
    assert Encoder.load(folder, variant="int8").variant == "int8"
