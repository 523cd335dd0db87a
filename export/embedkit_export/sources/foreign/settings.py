"""Settings of a folder's files that have no meaning, each told with the file, its key and what stands there: libraries fail on them
later, in words about something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embedkit.errors import ExportError
from embedkit_export.sources import folders

_LENGTHS = {"tokenizer_config.json": "model_max_length", "sentence_*_config.json": "max_seq_length"}


def check_settings(folder: Path, name: Path) -> None:
    """Raise `ExportError`, which names the folder ``name``, for a length, labels or a pooling that mean nothing."""
    for file, key, value, expected in _meaningless(folder):
        raise ExportError(
            f"{name}: {key} in {file.relative_to(folder)}: expected {expected}, found {value!r:.80}; correct it there"
        )


def _meaningless(folder: Path) -> Iterator[tuple[Path, str, Any, str]]:
    inner = folders.transformer(folder)
    for pattern, key in _LENGTHS.items():
        for file in inner.glob(pattern):
            value = folders.read_json(file).get(key)
            if not _is_length(value):
                yield file, key, value, "a whole number of tokens"
    file = inner / folders.MODEL
    labels = folders.read_json(file).get("id2label")
    if labels is not None and not (isinstance(labels, dict) and all(str(key).isdecimal() for key in labels)):
        yield file, "id2label", labels, 'names by their numbers, as in {"0": "no", "1": "yes"}'
    for file in folder.glob("[0-9]*_Pooling/config.json"):
        about = folders.read_json(file)
        if "pooling_mode" in about and not about["pooling_mode"]:
            yield file, "pooling_mode", about["pooling_mode"], "a name (mean, cls, lasttoken, ...) or several"


def _is_length(value: Any) -> bool:
    """Whether a value may be a limit: a whole number, which some files write as 1e30, or none."""
    if value is None:
        return True
    return not isinstance(value, bool) and isinstance(value, int | float) and value >= 0 and value == value // 1
