"""The modules of models of sentence-transformers that read pictures; their vectors are tested by tests/export/test_pictured.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from embedkit import ExportError
from embedkit_export.sources.media.pictured import pipeline, processor, reads


def module(*modalities: str) -> SimpleNamespace:
    return SimpleNamespace(modalities=list(modalities))


def test_what_is_read() -> None:
    both, behind = module("text", "image"), module()
    assert reads([both, behind], "image")
    assert not reads([module("text"), module("image")], "image"), "what stands behind reads no picture"
    assert not reads([], "image")
    assert pipeline([both, behind], "image") == [both, behind]


def test_a_router_without_a_route() -> None:
    class Router:
        def _resolve_route(self, task: str | None, kind: str) -> str:
            raise ValueError("no route found")

    with pytest.raises(ExportError, match="Router: role 'default' has no route: no route found"):
        pipeline([Router()], "image")


def test_an_image_processor() -> None:
    inner = SimpleNamespace(image_mean=[0.5])
    assert processor(SimpleNamespace(processor=inner)) is inner
    assert processor(SimpleNamespace(processor=SimpleNamespace(image_processor=inner))) is inner
    with pytest.raises(ExportError, match="has no image processor"):
        processor(SimpleNamespace(processor=None))
