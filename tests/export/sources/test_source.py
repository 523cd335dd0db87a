"""What a loaded model is."""

from __future__ import annotations

import pytest

from embedkit_export.sources.source import CLASSES, Loading, Source


def test_a_source_has_parts_of_its_own() -> None:
    one, other = Source("a", None, None), Source("b", None, None)
    one.records.append("x")
    assert other.records == []
    assert not one.pictures
    with pytest.raises(AttributeError):
        one.name = "c"  # type: ignore[misc]


def test_each_kind_has_a_class_of_its_own() -> None:
    import sentence_transformers
    import transformers

    assert Loading().kind == ""
    assert all(hasattr(sentence_transformers, name) or hasattr(transformers, name) for name in CLASSES.values())
