"""Stored precisions against sentence-transformers, and scores against integers and bits counted one by one."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import embedkit
from embedkit import Encoder, InputError, Ranges, fit_ranges, quantize, rescore, similarity

PRECISIONS = ("float32", "float16", "int8", "uint8", "binary", "ubinary")

numbers = st.floats(-4, 4, width=32)
matrices = arrays.arrays(np.float32, st.tuples(st.integers(2, 30), st.integers(1, 40)), elements=numbers)


def vectors(count: int, dim: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def reference(given: np.ndarray, precision: str, ranges: np.ndarray | None = None) -> np.ndarray:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers.util.quantization import quantize_embeddings

    return np.asarray(quantize_embeddings(given, precision=precision, ranges=ranges))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(given=matrices, fitted=matrices)
def test_equal_to_sentence_transformers(given: np.ndarray, fitted: np.ndarray) -> None:
    ranges = fit_ranges(np.resize(fitted, (len(fitted), given.shape[1])))
    for precision in ("float32", "int8", "uint8", "binary", "ubinary"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for known in (None, ranges):
                found = quantize(given, precision, ranges=known)  # type: ignore[arg-type]
                expected = reference(given, precision, None if known is None else np.asarray(known))
                assert found.dtype == expected.dtype
                assert np.array_equal(found, expected), precision


def test_many_rows_are_rounded_in_blocks() -> None:
    many = vectors(9_000, 100)
    for precision in ("int8", "uint8"):
        assert np.array_equal(quantize(many, precision), reference(many, precision))  # type: ignore[arg-type]


def test_one_vector_and_none() -> None:
    one = vectors(1, 20)[0]
    assert quantize(one, "ubinary").shape == (3,)
    assert quantize(one, "int8", ranges=fit_ranges(vectors(200, 20))).shape == (20,)
    for precision in PRECISIONS:
        none = quantize(np.empty((0, 20), np.float32), precision)  # type: ignore[arg-type]
        assert none.shape == (0, 3 if precision.endswith("binary") else 20)
        assert none.dtype == quantize(vectors(200, 20), precision).dtype  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"cannot be taken from one vector; give ranges=embedkit\.fit_ranges"):
        quantize(one, "int8")
    with pytest.warns(UserWarning, match="from 5 vectors only"):
        quantize(vectors(5, 20), "uint8")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (vectors(3, 4), {"precision": "int4"}, "precision: expected one of float32, .*found 'int4'"),
        (np.ones((2, 3), np.int8), {"precision": "int8"}, "expected float vectors, found int8"),
        (np.ones((2, 3, 4), np.float32), {"precision": "int8"}, r"shape \(n, dim\), found \(2, 3, 4\)"),
        (np.array([[0, 1], [np.nan, 1]], np.float32), {"precision": "binary"}, "vector 1 holds NaN or infinity"),
        (vectors(3, 4), {"precision": "int8", "ranges": fit_ranges(vectors(9, 5))}, "of 5 numbers, and these have 4"),
        (vectors(3, 4), {"precision": "int8", "ranges": np.ones((3, 4))}, r"expected shape \(2, dim\)"),
        (vectors(3, 4), {"precision": "int8", "ranges": [[1.0] * 4, [0.0] * 4]}, "dimension 0 is above its maximum"),
    ],
)
def test_what_is_refused(given: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize(given, **options)  # type: ignore[arg-type]


def test_ranges_of_a_stream_are_those_of_the_whole(tmp_path: Path) -> None:
    whole = vectors(1000, 16)
    ranges = fit_ranges(whole[i : i + 300] for i in range(0, 1200, 300))
    assert np.array_equal(np.asarray(ranges), np.vstack([whole.min(axis=0), whole.max(axis=0)]))
    for name in ("ranges.npz", "ranges.json"):
        ranges.save(tmp_path / name)
        assert np.asarray(Ranges.load(tmp_path / name)).tobytes() == np.asarray(ranges).tobytes()
    with pytest.raises(InputError, match="ends in .npz or .json"):
        ranges.save(tmp_path / "ranges.txt")
    (tmp_path / "other.json").write_text(json.dumps({"minimum": [1, 2], "maximum": [3]}))
    with pytest.raises(InputError, match=r"other\.json: expected ranges that Ranges\.save wrote"):
        Ranges.load(tmp_path / "other.json")
    with pytest.raises(InputError, match="found none"):
        fit_ranges(iter([]))


@settings(max_examples=40, deadline=None)
@given(
    a=arrays.arrays(np.int8, st.tuples(st.integers(1, 5), st.just(700))),
    b=arrays.arrays(np.int8, st.tuples(st.integers(1, 5), st.just(700))),
)
def test_scores_of_bytes_are_exact(a: np.ndarray, b: np.ndarray) -> None:
    dot = a.astype(np.int64) @ b.astype(np.int64).T
    assert np.array_equal(similarity(a, b, fn="dot"), dot.astype(np.float32))
    lengths = np.linalg.norm(a.astype(float), axis=1)[:, None] * np.linalg.norm(b.astype(float), axis=1)
    cosine = np.divide(dot, lengths, out=np.zeros(dot.shape), where=lengths > 0)
    assert np.allclose(similarity(a, b), cosine, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(given=matrices)
def test_hamming_counts_the_signs_that_differ(given: np.ndarray) -> None:
    expected = -((given > 0)[:, None] != (given > 0)[None]).sum(axis=2)
    for precision in ("binary", "ubinary"):
        packed = quantize(given, precision)  # type: ignore[arg-type]
        assert np.array_equal(similarity(packed, packed, fn="hamming"), expected)
    with pytest.raises(InputError, match="expected packed bits"):
        similarity(given, given, fn="hamming")


def test_rescoring_by_float_queries() -> None:
    stored, queries = vectors(400, 100), vectors(6, 100, seed=1)
    ranges = fit_ranges(stored)
    exact = queries @ stored.T
    for precision in ("int8", "uint8"):
        small = quantize(stored, precision, ranges=ranges)  # type: ignore[arg-type]
        found = rescore(queries, small, precision=precision, ranges=ranges)  # type: ignore[arg-type]
        assert np.abs(found - exact).max() < 0.01
        from sentence_transformers.util.quantization import _dequantize_embeddings

        restored = _dequantize_embeddings(small, precision, np.asarray(ranges))  # type: ignore[arg-type]
        assert np.allclose(found, queries @ restored.T, atol=1e-5)
    for precision in ("binary", "ubinary"):
        small = quantize(stored, precision)  # type: ignore[arg-type]
        expected = queries @ np.where(stored > 0, 1, -1).T
        assert np.allclose(rescore(queries, small, precision=precision), expected, atol=1e-5)  # type: ignore[arg-type]
        picked = np.argsort(-similarity(quantize(queries, precision), small, fn="hamming"))[:, :40]  # type: ignore[arg-type]
        scores = rescore(queries, small[picked], precision=precision)  # type: ignore[arg-type]
        assert np.allclose(scores, np.take_along_axis(expected, picked, axis=1), atol=1e-5)
        assert rescore(queries[0], small, precision=precision).shape == (400,)  # type: ignore[arg-type]
    assert np.allclose(rescore(queries, stored.astype(np.float16), precision="float16"), exact, atol=1e-3)
    with pytest.raises(InputError, match="mean something with their ranges only"):
        rescore(queries, quantize(stored, "int8"), precision="int8")
    with pytest.raises(InputError, match=r"expected ubinary vectors of 13 bytes \(uint8\), found 13 \(int8\)"):
        rescore(queries, quantize(stored, "binary"), precision="ubinary")


def test_an_encoder_gives_what_sentence_transformers_would_store(bundle: Path) -> None:
    encoder = Encoder.load(bundle, variant="fp32")
    texts = [f"text {i * i}" for i in range(150)]
    for dim in (None, 5):
        full = encoder.encode(texts, dim=dim)
        assert np.allclose(np.linalg.norm(full, axis=1), 1, atol=1e-5)
        ranges = fit_ranges(encoder.stream(texts[:120], dim=dim))
        for precision in ("float32", "int8", "uint8", "binary", "ubinary"):
            found = encoder.encode(texts, dim=dim, precision=precision)  # type: ignore[call-overload]
            assert np.array_equal(found, reference(full, precision))
            options = {"dim": dim, "precision": precision, "ranges": ranges}
            expected = reference(full, precision, np.asarray(ranges))
            assert np.array_equal(np.concatenate(list(encoder.stream(texts, **options))), expected)
            assert np.array_equal(encoder.encode(texts, **options), expected)
            assert np.array_equal(encoder.encode_query(texts[0], **options), expected[0])
    with pytest.raises(InputError, match="int8 needs those of all vectors before the first"):
        encoder.stream(texts, precision="int8")
    with pytest.raises(InputError, match="of 5 numbers, and these have 8"):
        encoder.stream(texts, precision="uint8", ranges=ranges)
    assert embedkit.quantize is quantize
