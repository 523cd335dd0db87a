"""Text as a modality: strings, or mappings of a template's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from embedkit.bundle.manifest import Input, TextFrontend
from embedkit.runtime.frontends.base import Modality, Preparer

from .template import Template
from .tokenizer import TextTokenizer


class TextModality(Template, Modality):
    """Texts, as one `TextFrontend` reads them."""

    kind = TextFrontend
    sources = frozenset({"ids", "mask", "pool_mask", "types", "length"})
    noun = "text"

    def __init__(self, frontend: TextFrontend, inputs: Sequence[Input]) -> None:
        Modality.__init__(self, frontend, inputs)
        Template.__init__(self, frontend, [entry.choice for entry in inputs if entry.choice])

    def claims(self, value: object) -> bool:
        """Strings, and mappings of fields."""
        return isinstance(value, str | Mapping)

    def open(self, path: Callable[[str], Path]) -> Preparer:
        """The bundle's tokenizer."""
        return TextTokenizer(self, path(self.frontend.tokenizer), self.inputs)
