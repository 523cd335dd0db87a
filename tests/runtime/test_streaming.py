"""Windows: equal texts once, order kept, memory bounded, errors that name the text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit import Encoder, InputError
from embedkit.bundle.manifest import Part, TextFrontend, Truncate
from embedkit.encoders.info import Stats
from embedkit.runtime.frontends.text.modality import TextModality
from embedkit.runtime.streaming import windows

FIELDS = [Part(field="x", default=""), Part(field="y", default="")]
MODALITY = TextModality(TextFrontend(tokenizer="tokenizer.json", template=FIELDS, truncate=Truncate(max=9)), [])


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(
        st.one_of(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.sampled_from("pq"))), max_size=30
    )
)
def test_equal_items_of_a_window_are_there_once(items: list[object]) -> None:
    found, inverse = next(windows(items, MODALITY), ([], []))
    assert [found[i] for i in inverse] == [MODALITY.check(item, "item") for item in items]
    assert all(found.index(item) == i for i, item in enumerate(found))


def test_equal_texts_are_computed_once_and_counted_all(encoder: Encoder) -> None:
    texts = ["one", "two", "one", "a text that is longer than the model reads " * 3] * 500
    encoder.stats = Stats()
    found = encoder.encode(texts)
    assert (encoder.stats.texts, encoder.stats.truncated) == (2000, 500)
    assert encoder.stats.tokens == 5 + 5 + 64
    assert found.tobytes() == np.tile(encoder.encode(texts[:4]), (500, 1)).tobytes()


def test_a_refused_text_is_named_by_its_number(encoder: Encoder) -> None:
    def texts() -> Iterator[object]:
        yield from (f"text {i % 7}" for i in range(5000))
        yield 7

    parts = encoder.stream(texts())  # type: ignore[arg-type]
    assert len(next(parts)) == 2048
    with pytest.raises(InputError, match="text 5000: expected a string, found int"):
        list(parts)


def test_memory_does_not_grow_with_the_texts(encoder: Encoder) -> None:
    import tracemalloc

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in encoder.stream("x" * 1_000_000 if i % 2000 == 5 else f"text {i % 97}" for i in range(count)):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(24_000) < 1.5 * peak(8_000)
