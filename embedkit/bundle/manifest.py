"""The bundle's manifest, typed: ``embedkit.json``. Unknown fields, wrong types and values out of range are refused.

Bundles of text have schema 1; one with a frontend of any other kind has schema 2.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

import msgspec

from embedkit.vectors.values import Kind

from .frontends.audio import AudioFrontend, Mel
from .frontends.base import Choice, FileName, Frontend, Id, Model, Name, Positive, Sha256
from .frontends.ids import IdsFrontend
from .frontends.image import Crop, ImageFrontend, Pad, Resize, ResizeFilter, Step
from .frontends.text import Part, PoolMask, TextFrontend, Truncate

__all__ = [
    "MANIFEST",
    "SCHEMAS",
    "AudioFrontend",
    "Choice",
    "Crop",
    "FileEntry",
    "FileName",
    "Frontend",
    "Graph",
    "Id",
    "IdsFrontend",
    "ImageFrontend",
    "Input",
    "Manifest",
    "Matching",
    "Mel",
    "Model",
    "Name",
    "Output",
    "Pad",
    "Part",
    "PoolMask",
    "Positive",
    "Quality",
    "Resize",
    "ResizeFilter",
    "Scorer",
    "Sha256",
    "SizeQuality",
    "Source",
    "Step",
    "Table",
    "TextFrontend",
    "Tower",
    "Truncate",
    "Variant",
    "is_plain_name",
]

SCHEMAS = (1, 2)
"""Those that are read: 1 of bundles whose frontends are all of the kind text, else 2."""
MANIFEST = "embedkit.json"

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]*")


def is_plain_name(name: str) -> bool:
    """Whether ``name`` is a file name that stays inside a folder on every system: no separator, no leading dot, no
    drive."""
    return bool(_PLAIN.fullmatch(name)) and not name.endswith((" ", "."))


class FileEntry(Model, frozen=True):
    """A file of the bundle, as it was written."""

    sha256: Sha256
    bytes: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Input(Model, frozen=True):
    """One input tensor of the graph and what fills it: (batch, tokens) ids, mask, pool mask or token types, the (batch,)
    ``length`` in tokens, the (batch,) number that ``choice`` gives, or what else the frontend's kind makes."""

    name: Name
    dtype: Literal["int64", "int32", "float32", "uint8"]
    source: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]*\Z")]
    choice: Choice | None = None

    def __post_init__(self) -> None:
        if (self.source == "choice") != (self.choice is not None):
            raise ValueError("expected `choice` beside the source choice, and only there")


class SizeQuality(Model, frozen=True):
    """What was measured of the first ``dim`` numbers of the vectors, against as many of torch's; the rest as of
    `Quality`."""

    dim: Positive
    cosine_mean: float
    cosine_min: float
    top10_overlap: float
    labels: dict[str, float] = {}


class Quality(Model, frozen=True):
    """What was measured on ``texts`` texts before the variant was written; cosines and overlap are against torch
    fp32."""

    texts: int
    max_abs: float
    cosine_mean: float
    cosine_min: float
    top10_overlap: float
    labels: dict[str, float] = {}
    """What the sample's labels gave, 0 to 1: ``spearman``, ``ndcg@10``, ``recall@10``."""
    measures: dict[str, float] = {}
    """What is measured of kinds other than dense, 0 to 1, as ``OUTPUT: NAME``."""
    matryoshka: list[SizeQuality] = []
    """The same at each smaller size that the model was trained for."""


class Variant(Model, frozen=True):
    """One precision of the graph; ``data`` names its external data files."""

    file: FileName
    quality: Quality
    golden_cosine_min: float
    """The worst cosine of this variant against the golden vectors on the machine that exported it."""
    data: list[FileName] = []
    form: str = ""
    """How it was made, where there are several ways."""
    tokens_per_second: float | None = None
    """Tokens per CPU-second on the machine that exported it; only the ratios between variants mean something."""


class Graph(Model, frozen=True):
    """The graph of a tower in its precisions."""

    variants: Annotated[dict[Name, Variant], msgspec.Meta(min_length=1)]


class Output(Model, frozen=True):
    """One output tensor of the graph, float32, and what it becomes.

    ``dense`` (batch, dim): vectors. ``sparse`` (batch, dim), of which few are not zero: sparse vectors. ``multivector``
    (batch, tokens, dim): a vector for each token that the pool mask leaves. ``tokens`` (batch, tokens, dim): a vector for
    each token that is read. ``logits`` (batch, dim): a number for each of the labels.
    """

    kind: Kind
    dim: Positive
    normalized: bool = False
    """Whether vectors (or a token's) have unit length."""
    matryoshka: list[Positive] = []
    default: Positive | None = None
    """Of dense vectors: how many numbers, the first, are given where no size is asked for; None for all."""
    top: Positive | None = None
    """Of sparse vectors: how many numbers are kept, the largest."""
    labels: list[str] = []
    """Of logits: a name for each, where they have one."""
    activation: Literal["identity", "sigmoid", "softmax", "tanh"] = "identity"
    """Of logits: what makes scores or probabilities of them."""

    def __post_init__(self) -> None:
        if self.labels and len(self.labels) != self.dim:
            raise ValueError("expected as many `labels` as numbers (`dim`)")
        if self.default is not None and (self.kind != "dense" or self.default > self.dim):
            raise ValueError("expected a `default` of up to `dim` numbers, of dense vectors only")

    @property
    def size(self) -> int:
        """Numbers that are given where no size is asked for."""
        return self.default or self.dim


class Tower(Model, frozen=True):
    """One role's way from text to vectors. ``like`` takes over what is not given here from another tower."""

    frontend: Frontend
    like: str | None = None
    inputs: list[Input] = []
    graph: Graph | None = None
    outputs: dict[Name, Output] = {}

    def __post_init__(self) -> None:
        if self.like is None and (self.graph is None or not self.inputs or not self.outputs):
            raise ValueError("expected `like`, or all of `inputs`, `graph` and `outputs`")


class Scorer(Model, frozen=True):
    """How two texts' vectors are compared: dense ones by cosine, dot product or distance, sparse ones by ``sparse_dot`` or
    ``sparse_cosine``, several a
    text by ``maxsim``, or by ``meanmaxsim``, which is divided by the number of the left one's vectors; or dense ones by a
    head of their own (``pair``), the ONNX file ``graph``: (n, dim) ``left`` and ``right`` -> (n, outputs) ``score``; or several
    outputs of both sides by the mean of their scores (``fused``), in which each counts as the ``weights`` say."""

    fn: Literal["cosine", "dot", "euclidean", "sparse_dot", "sparse_cosine", "maxsim", "meanmaxsim", "pair", "fused"]
    left: str
    right: str
    graph: FileName | None = None
    weights: dict[Name, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """By the name of an output, which both sides have."""

    def __post_init__(self) -> None:
        if (self.fn == "fused") != bool(self.weights):
            raise ValueError("expected `weights` beside the function fused, and only there")
        if (self.fn == "pair") != (self.graph is not None):
            raise ValueError("expected `graph` beside the function pair, and only there")


class Matching(Model, frozen=True):
    """What makes probabilities of the cosines c of the vectors of two kinds of items, as the model was trained: ``softmax`` of
    ``scale`` * c over all candidates, or ``sigmoid`` of ``scale`` * c + ``bias`` for each by itself."""

    fn: Literal["softmax", "sigmoid"]
    scale: Annotated[float, msgspec.Meta(gt=0)]
    bias: float = 0.0

    def __post_init__(self) -> None:
        if self.fn == "softmax" and self.bias:
            raise ValueError("expected no `bias` beside softmax, which takes no heed of one")


class Table(Model, frozen=True):
    """Vectors of things that are not encoded, such as the items of a recommender: a (n, dim) float32 array ``vectors`` and
    the ``ids`` of its rows in a .npz file, comparable with the output ``TOWER.OUTPUT``."""

    file: FileName
    output: str


class Source(Model, frozen=True):
    """Where the weights came from, and with what they were exported."""

    name: str
    checkpoint_sha256: Sha256
    surgery: list[str] = []
    tools: dict[str, str] = {}


Prompt: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[^{}]*\{\}[^{}]*$")]
"""A text with one ``{}`` for what is named."""


class Manifest(Model, frozen=True):
    """``embedkit.json``."""

    schema: Literal[1, 2]
    source: Source
    towers: Annotated[dict[Name, Tower], msgspec.Meta(min_length=1)]
    scorers: dict[Name, Scorer]
    files: dict[FileName, FileEntry]
    golden: FileName
    fingerprint: Sha256
    tables: dict[Name, Table] = {}
    prompts: dict[Name, Annotated[list[Prompt], msgspec.Meta(min_length=1)]] = {}
    """Sets of texts around a label, of which its vector is the mean."""
    matching: Matching | None = None
    """Of a bundle that reads several kinds of items; no part of the fingerprint, since it changes no vector."""
