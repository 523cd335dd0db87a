"""What states no recipe that can be exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import embedkit_export
from embedkit import ExportError, InputError
from embedkit_export.recipes.recipe import Recipe
from helpers import models


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    body = models.save("bert", tmp_path / "plain")
    sparse = {"kind": "sparse"}
    with pytest.raises(ExportError, match="without a head for words"):
        embedkit_export.prepare(body, recipe=Recipe(dense=False, outputs={"words": sparse}))
    for outputs, message in (
        ({"a b": sparse}, "expected a name"),
        ({"dense": sparse}, "other than 'dense'"),
        ({"vectors": sparse}, "other than 'dense' and 'vectors'"),
        ({"words": {"kind": "odd"}}, "words"),
        ({"words": {"kind": "sparse", "top": 0}}, "words"),
        ({}, "expected a pooled vector"),
    ):
        with pytest.raises(InputError, match=message):
            embedkit_export.prepare(body, recipe=Recipe(dense=False, outputs=outputs))
    with pytest.raises(InputError, match="kind: expected"):
        embedkit_export.prepare(body, kind="odd")
    about = body / "modules.json"
    about.write_text("[]")
    (body / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "Unheard"}))
    with pytest.raises(ExportError, match="found one of Unheard"):
        embedkit_export.prepare(body)
