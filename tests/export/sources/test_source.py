"""What a loaded model is."""

from __future__ import annotations

import sentence_transformers
import transformers

from embedkit_export.sources.source import CLASSES, Loading, Source


def test_classes_that_read_models_exist() -> None:
    for name in CLASSES.values():
        assert hasattr(sentence_transformers, name) or hasattr(transformers, name), name


def test_no_two_sources_share_what_is_noted() -> None:
    one, other = Source("a", None, None), Source("b", None, None)
    one.notes.append("x")
    one.routes["image"] = other
    assert (other.notes, other.routes) == ([], {})
    assert not one.pictures
    assert not one.sounds
    assert Loading().surgery is None
