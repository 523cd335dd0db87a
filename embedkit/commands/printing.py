"""What commands print: text that cannot steer a terminal, and JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence


def shown(text: str, width: int) -> str:
    """``text`` on one line of at most ``width`` characters, without characters that could steer a terminal."""
    line = " ".join(text.split())
    line = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in line)
    return line if len(line) <= width else line[: width - 3] + "..."


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(shown(name, 80) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def as_json(value: object) -> str:
    """JSON for people and machines."""
    return json.dumps(value, indent=2, ensure_ascii=False)
