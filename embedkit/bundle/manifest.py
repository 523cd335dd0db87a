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
from .frontends.composed import ComposedFrontend
from .frontends.features import FeaturesFrontend
from .frontends.ids import IdsFrontend
from .frontends.image import Crop, ImageFrontend, Pad, Resize, ResizeFilter, Step
from .frontends.text import Part, PoolMask, TextFrontend, Truncate

__all__ = [
    "MANIFEST",
    "SCHEMAS",
    "AudioFrontend",
    "Choice",
    "ComposedFrontend",
    "Crop",
    "Cross",
    "FeaturesFrontend",
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


def part_key(part: str | None, source: str) -> str:
    """What a batch calls the tensor of a source, of a composed item's ``part`` where it is of one."""
    return source if part is None else f"{part}-{source}"


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
    part: Name | None = None
    """Of a composed role: the part that fills it."""

    @property
    def key(self) -> str:
        """The name of its tensor in a batch (see `part_key`)."""
        return part_key(self.part, self.source)

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
    each token that is read. ``map`` (batch, height, width, dim): a vector for each place of a picture. ``logits``
    (batch, dim): a number for each of the labels.
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
    count: Positive | None = None
    """Of multivectors and tokens: how many every item has, where all have as many."""
    part: Name | None = None
    """Of multivectors and tokens of a composed role: the part that they stand for, a vector for each of its rows."""
    grid: Annotated[list[Positive], msgspec.Meta(min_length=2, max_length=2)] | None = None
    """Of a map: its height and width."""
    tokens: Name | None = None
    """Of dense vectors: the output of the kind tokens of which they are the mean over the tokens that are pooled, at unit length where
    they are ``normalized``: so a part of an item can be pooled by itself (late chunking)."""

    def __post_init__(self) -> None:
        if self.labels and len(self.labels) != self.dim:
            raise ValueError("expected as many `labels` as numbers (`dim`)")
        if (self.kind == "map") != (self.grid is not None):
            raise ValueError("expected `grid` beside the kind map, and only there")
        if (self.count is not None or self.part is not None) and self.kind not in ("multivector", "tokens"):
            raise ValueError("expected `count` and `part` of multivectors and tokens only")
        if self.tokens is not None and (self.kind != "dense" or self.default is not None):
            raise ValueError("expected `tokens` of dense vectors only, whose `default` size is their own")
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
    outputs of both sides by the mean of their scores (``fused``), or by the product of their probabilities (``power``: p^(1 - w) *
    q^w), in which each counts as the ``weights`` say."""

    fn: Literal[
        "cosine", "dot", "euclidean", "sparse_dot", "sparse_cosine", "maxsim", "meanmaxsim", "pair", "fused", "power"
    ]
    left: str
    right: str
    graph: FileName | None = None
    weights: dict[Name, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """By the name of an output, which both sides have."""

    def __post_init__(self) -> None:
        if (self.fn in ("fused", "power")) != bool(self.weights):
            raise ValueError("expected `weights` beside the functions fused and power, and only there")
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


class Cross(Model, frozen=True):
    """How a question and what is stored of another item are read together (reranked): by the composed tower ``tower``. Of its
    parts those in ``takes`` are values of the outputs ``TOWER.OUTPUT``, among them that of the stored item, ``stored``."""

    tower: Name
    takes: Annotated[dict[Name, str], msgspec.Meta(min_length=1)]
    stored: Name


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
    cross: dict[Name, Cross] = {}
    matching: Matching | None = None
    """Of a bundle that reads several kinds of items; no part of the fingerprint, since it changes no vector."""
