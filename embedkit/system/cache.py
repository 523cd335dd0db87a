"""Small facts that were found out once, kept in the user's cache folder: losing them costs time only."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from .atomic import atomic_file

_MOST = 1_000
"""Files that are kept: those that were written last."""


def folder() -> Path:
    """``EMBEDKIT_CACHE``, or ``embedkit`` in the folder for caches of the user; of a user without a home, one of their own in
    the folder for temporary files."""
    if given := os.environ.get("EMBEDKIT_CACHE"):
        return Path(given)
    with suppress(RuntimeError):  # a user without a home, of which older platformdirs give "~"
        place = Path(user_cache_dir("embedkit", appauthor=False))
        if place.parts[0] != "~":
            return place
    return Path(tempfile.gettempdir()) / f"embedkit-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"


def recall(key: Mapping[str, object]) -> dict[str, Any] | None:
    """What `remember` kept under an equal ``key``; None where there is nothing that can be read."""
    try:
        kept = json.loads(_path(key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or kept.get("key") != json.loads(json.dumps(key)):
        return None
    value = kept.get("value")
    return value if isinstance(value, dict) else None


def remember(key: Mapping[str, object], value: Mapping[str, object]) -> None:
    """Keep ``value``, which is JSON, whole or not at all; where the folder cannot be written it is not kept."""
    with suppress(OSError):
        path = _path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_file(path) as file:
            file.write(json.dumps({"key": key, "value": value}, indent=1).encode())
        _bound(path.parent)


def once(key: Mapping[str, object], check: Callable[[], bool]) -> bool:
    """Whether ``check`` is true: what it was found to be before under an equal ``key`` is not computed again, and only that
    it is true is kept."""
    if recall(key) == _TRUE:
        return True
    found = check()
    if found:
        remember(key, _TRUE)
    return found


_TRUE = {"true": True}


def _bound(kept: Path) -> None:
    """Remove what was written first where there is too much."""
    files = list(kept.glob("*.json"))
    if len(files) > _MOST:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[:-_MOST]:
            file.unlink(missing_ok=True)


def processor() -> str:
    """The processor's name and what it can do, as far as the system tells."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
        told = dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
        if told:
            return hashlib.sha256("\n".join(told).encode()).hexdigest()
    return f"{platform.machine()} {platform.processor()}"


def _path(key: Mapping[str, object]) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return folder() / f"{name}.json"
