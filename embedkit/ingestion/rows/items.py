"""What is encoded of a stored row: its text or, where the role's template has several fields, these from the metadata too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedkit.encoders.base import TextEncoder
from embedkit.runtime.frontends.template import Text


class Items:
    """Makes the items that ``role`` of an encoder takes."""

    def __init__(self, encoder: TextEncoder, role: str) -> None:
        names = encoder.fields(role)
        self._main = "text" if "text" in names else next(iter(names))
        self._others = [name for name in names if name != self._main]

    def of(self, text: str, metadata: Mapping[str, Any]) -> Text:
        """The item of one row."""
        if not self._others:
            return text
        found = {name: metadata[name] for name in self._others if name in metadata}
        return {self._main: text, **found}
