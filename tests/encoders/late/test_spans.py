"""Vectors of parts of texts, against sums in numpy; against torch: tests/export/test_late_chunks.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import embedkit
from embedkit import Encoder, InputError
from embedkit.bundle.manifest import Manifest, Output
from embedkit.encoders.late.spans import SpanEncoder, late_output
from embedkit.testing.tiny import tiny_bundle
from helpers.small_bundles import changed, of_ids

TEXT = "Berlin is the capital. It has four million."


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("late") / "bundle", kinds=("dense", "tokens"), prefixes={"query": "q: "})


@pytest.fixture(scope="module", params=["fp32", "int8"])
def encoder(late: Path, request: pytest.FixtureRequest) -> Encoder:
    return Encoder.load(late, variant=request.param, threads=1, on_truncate="ignore")


def pooled(states: np.ndarray, start: int, end: int) -> np.ndarray:
    mean = states[start:end].astype(np.float64).mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_each_part_is_the_mean_of_its_own_tokens(encoder: Encoder) -> None:
    states = encoder.encode(TEXT, role="document", output="tokens")[0]
    found = embedkit.encode_spans(encoder, TEXT, [(0, 22), (5, 22), (23, 43)])
    assert (found.shape, found.dtype) == ((3, 8), np.float32)
    for vector, (start, end) in zip(found, [(0, 23), (6, 23), (24, 45)], strict=True):
        np.testing.assert_allclose(vector, pooled(states, start, end), atol=1e-6)


def test_a_part_that_is_all_of_a_text_has_its_vector(encoder: Encoder) -> None:
    for role in ("document", "query"):
        whole = embedkit.encode_spans(encoder, TEXT, [(0, len(TEXT))], role=role)
        np.testing.assert_allclose(whole[0], encoder.encode(TEXT, role=role), atol=1e-6)


def test_a_part_has_the_same_bytes_whatever_is_asked_beside_it(encoder: Encoder) -> None:
    spans = [(0, 22), (23, 43), (30, 43)]
    together = embedkit.encode_spans(encoder, TEXT, spans)
    for number, span in enumerate(spans):
        assert embedkit.encode_spans(encoder, TEXT, [span])[0].tobytes() == together[number].tobytes()
    texts = [TEXT, "short", "日本 🎉 " * 3, TEXT[:30], "x" * 60]
    own = SpanEncoder(encoder)
    each = [[(0, 2), (1, len(text))] for text in texts]
    for text, span, vectors in zip(texts, each, own(texts, each), strict=True):
        (alone,) = own([text], [span])
        assert alone is not None
        assert vectors is not None
        assert alone.tobytes() == vectors.tobytes()


def test_a_long_text_is_read_in_parts_with_what_stands_beside_them(encoder: Encoder) -> None:
    text = "".join(f"{number:09} " for number in range(40))
    spans = [(start, start + 9) for start in range(0, 400, 10)]
    found = embedkit.encode_spans(encoder, text, spans)
    # 62 bytes are read: six spans are 59, of which the last is the first of the next part (one is at most 15).
    states = encoder.encode(text[50:109], role="document", output="tokens")[0]
    for number in range(6, 11):
        start = 1 + spans[number][0] - 50
        stop = start + 9 + (number == 10)  # a part's own end token goes with what ends it
        np.testing.assert_allclose(found[number], pooled(states, start, stop), atol=1e-6)
    assert not np.allclose(found[6], encoder.encode_document(text[60:69]), atol=1e-2)


def test_parts_that_are_far_apart_are_read_by_themselves(encoder: Encoder) -> None:
    text = "x" * 100 + " tea from the mountains " + "y" * 200 + " rain " + "z" * 100
    spans = [(text.index(word), text.index(word) + len(word)) for word in ("tea from", "the mountains", "rain")]
    found = embedkit.encode_spans(encoder, text, spans)
    together = embedkit.encode_spans(encoder, "tea from the mountains", [(0, 8), (9, 22)])
    assert found[:2].tobytes() == together.tobytes()
    np.testing.assert_allclose(found[2], encoder.encode_document("rain"), atol=1e-6)


def test_sizes(encoder: Encoder) -> None:
    short = embedkit.encode_spans(encoder, TEXT, [(0, 22)], dim=4)
    whole = embedkit.encode_spans(encoder, TEXT, [(0, 22)])[:, :4]
    np.testing.assert_allclose(short, whole / np.linalg.norm(whole), atol=1e-6)
    assert embedkit.encode_spans(encoder, TEXT, []).shape == (0, 8)


def test_the_texts_that_cannot_be_encoded_are_told(encoder: Encoder) -> None:
    bad: dict[int, str] = {}
    found = SpanEncoder(encoder)(["one", "x" * 90, "two"], [[(0, 3)], [(0, 90)], [(0, 1)]], on_bad=bad.__setitem__)
    assert [vectors is None for vectors in found] == [False, True, False]
    assert bad == {1: "it has 92 tokens, of which the model reads 64"}
    with pytest.raises(InputError, match="text 0: it has 92 tokens"):
        SpanEncoder(encoder)(["x" * 90], [[(0, 90)]])


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (
            [(0, 99)],
            r"span 0: expected the start and end of a part of the text, which has 43 characters, found \(0, 99\)",
        ),
        ([(0, 5), (5, 5)], "span 1: expected the start"),
        ([(-1, 5)], "span 0: expected the start"),
        ([(0, True)], "span 0: expected the start"),
        (["ab"], "span 0: expected the start"),
        ([(0, 1.5)], "span 0: expected the start"),
        ([(9, 12), (0, 3)], "span 1: expected spans in order"),
        (5, "spans: expected"),
    ],
)
def test_spans_that_are_none(encoder: Encoder, spans: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embedkit.encode_spans(encoder, TEXT, spans)


def test_bundles_that_cannot(tmp_path: Path, encoder: Encoder) -> None:
    plain = Encoder.load(tiny_bundle(tmp_path / "plain", kinds=("dense", "multivector")), on_truncate="ignore")
    with pytest.raises(InputError, match=r"export the model again with --late \(embedkit-export MODEL"):
        embedkit.encode_spans(plain, TEXT, [(0, 2)])
    ids = Encoder.load(of_ids(tmp_path / "ids"))
    with pytest.raises(InputError, match="this bundle reads sequences; leave late out"):
        late_output(ids, "default")
    with pytest.raises(InputError, match="default"):
        embedkit.encode_spans(encoder, TEXT, [(0, 2)], role="passage")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("words", "expected an output of the kind tokens with 8 numbers for each token, found 'words'"),
        ("dense", "found 'dense'"),
    ],
)
def test_a_bundle_whose_tokens_are_others_is_told(tmp_path: Path, tokens: str, message: str) -> None:
    def change(manifest: Manifest) -> dict[str, Any]:
        tower = manifest.towers["default"]
        outputs = {**tower.outputs, "dense": Output(kind="dense", dim=8, tokens=tokens)}
        return {"towers": {**manifest.towers, "default": msgspec.structs.replace(tower, outputs=outputs)}}

    with pytest.raises(embedkit.BundleError, match=message):
        changed(tiny_bundle(tmp_path / "bundle", kinds=("dense", "tokens")), change)
