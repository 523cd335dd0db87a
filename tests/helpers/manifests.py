"""Manifests of the tests, changed as a file is edited."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "embedkit.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def first_variant(manifest: dict[str, Any]) -> dict[str, Any]:
    tower = next(tower for tower in manifest["towers"].values() if "graph" in tower)
    variant: dict[str, Any] = tower["graph"]["variants"]["fp32"]
    return variant
