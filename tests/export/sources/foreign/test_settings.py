"""Settings without a meaning are told with their file; those that have one are read as libraries do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from embedkit.errors import ExportError
from embedkit_export.sources.foreign.settings import check_settings
from embedkit_export.sources.load import load
from helpers import models

POOLING = "1_Pooling/config.json"


def folder(tmp_path: Path, file: str, given: dict[str, Any]) -> Path:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "config.json").write_text("{}")
    path.write_text(json.dumps(given))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "given"),
    [
        *(("tokenizer_config.json", {"model_max_length": value}) for value in (None, 0, 12, 12.0, 1e30, 10**30)),
        *(("sentence_bert_config.json", {"max_seq_length": value}) for value in (None, 128)),
        ("config.json", {"id2label": {"0": "A", "1": "A"}}),
        ("config.json", {"id2label": None}),
        (POOLING, {"pooling_mode": ["cls", "mean"]}),
        (POOLING, {"pooling_mode_cls_token": True}),
    ],
)
def test_what_has_a_meaning(file: str, given: dict[str, Any], tmp_path: Path) -> None:
    check_settings(folder(tmp_path, file, given), tmp_path)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        *(("tokenizer_config.json", "model_max_length", value) for value in ("12", "1e30", 12.5, -1, True, [512])),
        *(("sentence_bert_config.json", "max_seq_length", value) for value in ("12", 1.5, -1)),
        *(("config.json", "id2label", value) for value in (["A", "B"], {"a": "A"})),
        *((POOLING, "pooling_mode", value) for value in (None, [], "")),
    ],
)
def test_what_has_none(file: str, key: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"{key} in {file}: expected .*; correct it there"):
        check_settings(folder(tmp_path, file, {key: value}), tmp_path)


def test_they_are_looked_at_before_a_folder_is_loaded(tmp_path: Path) -> None:
    where = models.save("bert", tmp_path / "model")
    file = where / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_max_length": "512"}))
    with pytest.raises(ExportError, match="model_max_length in tokenizer_config.json: .* found '512'"):
        load(where)
