"""What every encoder does with items and options, on a real trained model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedkit import Encoder, InputError, TruncationError, TruncationWarning


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
    assert encoder.encode(["still there"]).shape == (1, encoder.dim)


def test_shapes(trained: Encoder) -> None:
    assert trained.encode([]).shape == (0, 384)
    assert trained.encode([], dim=10).shape == (0, 10)
    assert trained.encode("one").shape == (384,)
    assert trained.encode(("a", "b")).shape == (2, 384)
    assert trained.encode(text for text in "abc").shape == (3, 384)
    assert trained.encode_query("one").shape == (384,)
    assert trained.encode_document(["one", "two"]).shape == (2, 384)


def test_dim_and_precision(trained: Encoder) -> None:
    full = trained.encode(["a text", "another"])
    cut = trained.encode(["a text", "another"], dim=64)
    assert np.allclose(cut, full[:, :64] / np.linalg.norm(full[:, :64], axis=1, keepdims=True), atol=1e-6)
    half = trained.encode(["a text"], precision="float16")
    assert half.dtype == np.float16
    assert np.array_equal(half, full[:1].astype(np.float16))
    for bad in (0, 385, True, "8"):
        with pytest.raises(InputError, match="dim"):
            trained.encode(["a"], dim=bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="float64"):
        trained.encode(["a"], precision="float64")  # type: ignore[call-overload]


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
def test_bad_texts(trained: Encoder, texts: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trained.encode(texts)  # type: ignore[call-overload]


def test_odd_texts_have_vectors(trained: Encoder) -> None:
    vectors = trained.encode(["", " \n\t ", "\0", "a\0b", "\u200b", "word " * 200_000])
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


def test_what_is_no_sequence_of_items_is_refused(encoder: Encoder) -> None:
    """A data frame gives the names of its columns, and these were encoded."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["one", "two"], "n": [1, 2]})
    for call in (encoder.encode, encoder.encode_query, encoder.encode_outputs, encoder.stream, encoder.stream_outputs):
        for given in (frame, {"a", "b"}, np.array("text")):
            with pytest.raises(InputError, match="texts: expected a string or an iterable of strings, found"):
                call(given)
    assert np.array_equal(encoder.encode(frame["text"]), encoder.encode(["one", "two"]))
