"""What a loaded model is to the rest of the export, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Source:
    """A loaded model in evaluation mode on the CPU, float32."""

    name: str
    backbone: Any
    """The transformers model (or a module with its call), token ids in, ``last_hidden_state`` out."""
    tokenizer: Any
    """The transformers tokenizer; None where the model reads ids."""
    folder: Path | None = None
    model: Any = None
    """The sentence-transformers model around the backbone, where there is one."""
    whole: Any = None
    """The transformers model with its head, whose body is the backbone, where it has one."""
    records: list[str] = field(default_factory=list)
    """Where the weights came from and what was done to them, for the manifest."""
    notes: list[str] = field(default_factory=list)
    routes: dict[str, Source] = field(default_factory=dict)
    """The sources of roles that have a backbone of their own inside one model (a Router's routes; ``image``)."""
    pictures: bool = False
    """Whether the backbone reads pictures."""
    sounds: bool = False
    """Whether the backbone reads sounds."""
    processor: Any = None
    """The image processor or feature extractor of transformers beside a live model of pictures or sounds."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded. ``revision`` pins a hub name; ``trust_remote_code`` runs code that the model brings."""

    model_class: str | None = None
    surgery: Any = None
    base: Path = Path()
    """What paths in the surgery are relative to."""
    revision: str | None = None
    trust_remote_code: bool = False
    ids: bool = False
    """Whether the model is a module that reads sequences of ids and has no tokenizer."""
    parts: bool = False
    """Whether the recipe names parts of a live model, or of items, so that nothing is to be found out."""
    pictures: bool = False
    """Whether the recipe says that the model reads pictures: of a live module, which says nothing itself."""
    sounds: bool = False
    """Whether the recipe says that the model reads sounds: of a live module, which says nothing itself."""
    kind: str = ""
    """The class of sentence-transformers that reads the model (see `CLASSES`); empty for the one that its files name."""


CLASSES = {
    "dense": "SentenceTransformer",
    "sparse": "SparseEncoder",
    "multivector": "MultiVectorEncoder",
    "reranker": "CrossEncoder",
    "classifier": "AutoModelForSequenceClassification",
}
"""What reads a model, by the kind of what it gives: a class of sentence-transformers, or of transformers."""
