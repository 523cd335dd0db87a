"""The bundle's manifest, typed: schema 1 of ``embedkit.json``. Unknown fields, wrong types and values out of range
are refused."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

import msgspec

SCHEMA = 1
MANIFEST = "embedkit.json"

Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
FileName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]*")


def is_plain_name(name: str) -> bool:
    """Whether ``name`` is a file name that stays inside a folder on every system: no separator, no leading dot, no
    drive."""
    return bool(_PLAIN.fullmatch(name)) and not name.endswith((" ", "."))


class _Model(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    pass


class FileEntry(_Model, frozen=True):
    """A file of the bundle, as it was written."""

    sha256: Sha256
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class Part(_Model, frozen=True):
    """One part of a template: exactly one of a literal and the name of an input field."""

    lit: str | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        if (self.lit is None) == (self.field is None):
            raise ValueError("expected exactly one of `lit` and `field`")


class Truncate(_Model, frozen=True):
    """How a text that is too long is cut: to ``max`` tokens, special ones included; ``smart`` keeps the closing
    special tokens, ``slice`` cuts whatever stands at the end."""

    max: Positive
    mode: Literal["smart", "slice"] = "smart"


class Frontend(_Model, frozen=True):
    """From a text to token ids."""

    kind: Literal["text"]
    tokenizer: FileName
    template: list[Part]
    truncate: Truncate
    pad: Literal["longest"] = "longest"
    pad_id: Annotated[int, msgspec.Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if [part.field for part in self.template if part.field is not None] != ["text"]:
            raise ValueError("expected a template with exactly one field, `text`")


class Input(_Model, frozen=True):
    """One input tensor of the graph, (batch, tokens), and what fills it."""

    name: str
    dtype: Literal["int64", "int32"]
    source: Literal["ids", "mask"]


class Quality(_Model, frozen=True):
    """What was measured on ``texts`` texts before the variant was written; cosines and overlap are against torch
    fp32."""

    texts: int
    max_abs: float
    cosine_mean: float
    cosine_min: float
    top10_overlap: float


class Variant(_Model, frozen=True):
    """One precision of the graph; ``data`` names its external data files."""

    file: FileName
    quality: Quality
    golden_cosine_min: float
    """The worst cosine of this variant against the golden vectors on the machine that exported it."""
    data: list[FileName] = []


class Graph(_Model, frozen=True):
    """The graph of a tower in its precisions."""

    variants: Annotated[dict[str, Variant], msgspec.Meta(min_length=1)]


class Output(_Model, frozen=True):
    """One output tensor of the graph: (batch, dim) float32."""

    kind: Literal["dense"]
    dim: Positive
    normalized: bool
    matryoshka: list[Positive] = []


class Tower(_Model, frozen=True):
    """One role's way from text to vectors. ``like`` takes over what is not given here from another tower."""

    frontend: Frontend
    like: str | None = None
    inputs: list[Input] = []
    graph: Graph | None = None
    outputs: dict[str, Output] = {}

    def __post_init__(self) -> None:
        if self.like is None and (self.graph is None or not self.inputs or not self.outputs):
            raise ValueError("expected `like`, or all of `inputs`, `graph` and `outputs`")


class Scorer(_Model, frozen=True):
    """How two vectors are compared."""

    fn: Literal["cosine", "dot"]
    left: str
    right: str


class Source(_Model, frozen=True):
    """Where the weights came from, and with what they were exported."""

    name: str
    checkpoint_sha256: Sha256
    surgery: list[str] = []
    tools: dict[str, str] = {}


class Manifest(_Model, frozen=True):
    """``embedkit.json``."""

    schema: Literal[1]
    source: Source
    towers: Annotated[dict[str, Tower], msgspec.Meta(min_length=1)]
    scorers: dict[str, Scorer]
    files: dict[FileName, FileEntry]
    golden: FileName
    fingerprint: Sha256
