"""A window of rows and its vectors: equal texts are encoded once, and one that cannot be costs no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import ClosedError, InputError
from embedkit.ingestion.pipeline.columns import Columns
from embedkit.ingestion.pipeline.encoding.windows import WindowEncoder
from embedkit.ingestion.rows.row import SourcedDocument


def window(texts):
    return [(SourcedDocument(str(i), text), f"hash {i}") for i, text in enumerate(texts)]


class Refusing:
    """An encoder that has no vector for a text with a ``!``, and a bad one for a text with a ``?``."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_outputs(self, texts, **options):
        self.calls.append(list(texts))
        if any("!" in text for text in texts):
            raise InputError("a text with a mark")
        values = self._encoder.encode_outputs(texts, **options)
        for i, text in enumerate(texts):
            if "?" in text:
                values["dense"][i] = np.nan
        return values


@given(st.lists(st.sampled_from(["tea", "coffee", "tea!", "tea?", "a railway"]), max_size=9))
def test_each_row_has_its_vector_or_its_reason(encoder, texts):
    refusing = Refusing(encoder)
    found = WindowEncoder(refusing, "document", Columns.of(encoder, "document", None))(window(texts))
    good = [i for i, text in enumerate(texts) if not set("!?") & set(text)]
    assert [document.id for document, _ in found.rows] == [str(i) for i in good]
    assert [row[0].id for row, _ in found.refused] == [str(i) for i in range(len(texts)) if i not in good]
    for (document, _), why in found.refused:
        assert why == (
            "a text with a mark" if "!" in document.text else "the model gave a vector that holds NaN or infinity"
        )
    if good:
        expected = encoder.encode([texts[i] for i in good], role="document")
        assert found.values["dense"].tobytes() == expected.tobytes()
    else:
        assert found.values["dense"].shape == (0, 8)
    assert found.texts == len({texts[i] for i in good})
    assert found.began <= found.ended


def test_equal_texts_are_encoded_once(encoder):
    refusing = Refusing(encoder)
    found = WindowEncoder(refusing, "document", Columns.of(encoder, "document", None))(window(["a", "b", "a", "a"]))
    assert refusing.calls == [["a", "b"]]
    assert found.values["dense"].shape == (4, 8)
    assert np.array_equal(found.values["dense"][0], found.values["dense"][3])


def test_a_closed_encoder_is_no_fault_of_a_row(encoder):
    class Closed(Refusing):
        def encode_outputs(self, texts, **options):
            raise ClosedError("the pool is closed")

    with pytest.raises(ClosedError):
        WindowEncoder(Closed(encoder), "document", Columns.of(encoder, "document", None))(window(["a"]))
