"""The bundle's manifest, typed: ``embedkit.json``. Unknown fields, wrong types and values out of range are refused.

Bundles of text have schema 1; one with a frontend of any other kind has schema 2.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from embedkit.vectors.values import Kind

SCHEMAS = (1, 2)
"""Those that are read: 1 of bundles whose frontends are all of the kind text, else 2."""
MANIFEST = "embedkit.json"

Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]
Id: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
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
    bytes: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Part(_Model, frozen=True):
    """One part of a template: exactly one of a literal, the name of an input field (with the text that stands for it
    where it is not given, and whether the white space around it is taken off), and the border between a pair of
    segments."""

    lit: str | None = None
    field: Name | None = None
    default: str | None = None
    pair: Literal[True] | None = None
    strip: bool = False

    def __post_init__(self) -> None:
        if sum(x is not None for x in (self.lit, self.field, self.pair)) != 1:
            raise ValueError("expected exactly one of `lit`, `field` and `pair`")
        if self.default is not None and self.field is None:
            raise ValueError("expected `default` beside a `field` only")
        if self.strip and self.field is None:
            raise ValueError("expected `strip` beside a `field` only")


class Truncate(_Model, frozen=True):
    """How a text that is too long is cut: to ``max`` tokens, special ones included.

    ``smart`` keeps the closing special tokens, ``slice`` cuts whatever stands at the end. A smart cut of ``content``
    takes tokens from the end of the last field, then of the one before, and leaves literals whole; of ``body`` it takes
    them from the end of what stands before the closing literal, other literals too; of ``all`` from the end of the text
    (of a pair: from the longer segment).
    """

    max: Positive
    mode: Literal["smart", "slice"] = "smart"
    applies_to: Literal["all", "content", "body"] = "all"

    def __post_init__(self) -> None:
        if self.mode == "slice" and self.applies_to != "all":
            raise ValueError("expected `applies_to` all beside the mode slice")


class PoolMask(_Model, frozen=True):
    """Tokens that the backbone reads and that are left out of what is made of them: ``first`` (or ``first:N``) tokens,
    ``special`` (all that the tokenizer adds), ``prefix`` (as many leading tokens as all that stands before the last field
    has by itself, opening special tokens included), ``template`` (all that are no part of a field), and all whose id is
    among ``ids``."""

    drop: list[Annotated[str, msgspec.Meta(pattern=r"^(first(:[1-9][0-9]{0,8})?|special|prefix|template)\Z")]] = []
    ids: list[Id] = []

    def __post_init__(self) -> None:
        if not self.drop and not self.ids:
            raise ValueError("expected something in `drop` or `ids`")


class Choice(_Model, frozen=True):
    """A number for each value of an input field, and the value that stands for a field that is not given."""

    field: Name
    values: Annotated[dict[str, Id], msgspec.Meta(min_length=1)]
    default: str | None = None

    def __post_init__(self) -> None:
        if self.default is not None and self.default not in self.values:
            raise ValueError("expected a `default` that is one of `values`")


@runtime_checkable
class Frontend(Protocol):
    """How the items of a role become tensors. What each kind says is a struct of its own, tagged by ``kind``: here
    `TextFrontend` and `IdsFrontend`; those of other packages are found by `embedkit.bundle.validation`."""

    @property
    def kind(self) -> str:
        """What it reads."""
        ...

    @property
    def longest(self) -> int:
        """Tokens, or whatever else the items are made of, that are read of one item."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that it needs."""
        ...


class TextFrontend(_Model, frozen=True, tag_field="kind", tag="text"):
    """From a text, or from named fields, to token ids."""

    tokenizer: FileName
    template: list[Part]
    truncate: Truncate
    pad: Annotated[str, msgspec.Meta(pattern=r"^(longest|(fixed|least):[1-9][0-9]{0,6})\Z")] = "longest"
    pad_id: Id = 0
    padding: Literal["ignored", "kept", "read"] = "ignored"
    """Whether padding to a fixed or least length is part of the text: ``kept`` tokens give vectors, of which the others see
    nothing; ``read`` ones are tokens like all others (the query expansion of ColBERT, Khattab and Zaharia 2020)."""
    pool_mask: PoolMask | None = None
    first_token: Choice | None = None
    """Token ids that take the place of the first token."""
    vocabulary: Positive | None = None
    """Rows of the model's table of tokens, where the tokenizer gives ids beyond it: a text with such a token has no
    vector."""

    def __post_init__(self) -> None:
        names = [part.field for part in self.template if part.field is not None]
        if not names or len(set(names)) != len(names):
            raise ValueError("expected a template with at least one field, each once")
        if sum(part.pair is not None for part in self.template) > 1:
            raise ValueError("expected a template of at most two segments")
        if self.truncate.applies_to == "body" and any(part.pair for part in self.template):
            raise ValueError("expected a template of one segment where its `body` is cut")
        if self.fixed is not None and self.fixed < self.truncate.max:
            raise ValueError("expected a fixed length of at least truncate.max")
        if self.padding != "ignored" and not self.least:
            raise ValueError("expected a fixed or least length where padding is kept or read")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "text"

    @property
    def files(self) -> tuple[str, ...]:
        """The tokenizer's."""
        return (self.tokenizer,)

    @property
    def longest(self) -> int:
        """Tokens of a text that are read, special ones included."""
        return self.truncate.max

    @property
    def fixed(self) -> int | None:
        """The number of tokens that every text is padded to, if there is one."""
        return self.least if self.pad.startswith("fixed") else None

    @property
    def least(self) -> int:
        """The number of tokens that every text is padded to where it has fewer; 0 without one."""
        return int(self.pad.partition(":")[2] or 0)


class IdsFrontend(_Model, frozen=True, tag_field="kind", tag="ids"):
    """Sequences of integers from 0 up to ``size``, such as the items that a user bought: ``max`` are read of one, the
    ``keep`` ones, and ``pad_id``, which no sequence holds, fills a batch up on the side ``pad``, to ``length`` where there
    is one."""

    size: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    max: Positive
    keep: Literal["first", "last"] = "last"
    pad: Literal["left", "right"] = "right"
    pad_id: Id = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=9_999_999)] | None = None

    def __post_init__(self) -> None:
        if self.pad_id >= self.size:
            raise ValueError("expected a `pad_id` below `size`")
        if self.length is not None and self.length < self.max:
            raise ValueError("expected a `length` of at least `max`")

    @property
    def kind(self) -> str:
        """What it reads."""
        return "ids"

    @property
    def files(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def longest(self) -> int:
        """Ids of a sequence that are read."""
        return self.max

    @property
    def fixed(self) -> int | None:
        """The number of ids that every sequence is padded to, if there is one."""
        return self.length

    @property
    def least(self) -> int:
        """The number of ids that every sequence is padded to where it has fewer; 0 without one."""
        return self.length or 0


class Input(_Model, frozen=True):
    """One input tensor of the graph and what fills it: (batch, tokens) ids, mask, pool mask or token types, the (batch,)
    ``length`` in tokens, the (batch,) number that ``choice`` gives, or what else the frontend's kind makes."""

    name: Name
    dtype: Literal["int64", "int32", "float32", "uint8"]
    source: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]*\Z")]
    choice: Choice | None = None

    def __post_init__(self) -> None:
        if (self.source == "choice") != (self.choice is not None):
            raise ValueError("expected `choice` beside the source choice, and only there")


class SizeQuality(_Model, frozen=True):
    """What was measured of the first ``dim`` numbers of the vectors, against as many of torch's; the rest as of
    `Quality`."""

    dim: Positive
    cosine_mean: float
    cosine_min: float
    top10_overlap: float
    labels: dict[str, float] = {}


class Quality(_Model, frozen=True):
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


class Variant(_Model, frozen=True):
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


class Graph(_Model, frozen=True):
    """The graph of a tower in its precisions."""

    variants: Annotated[dict[Name, Variant], msgspec.Meta(min_length=1)]


class Output(_Model, frozen=True):
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


class Tower(_Model, frozen=True):
    """One role's way from text to vectors. ``like`` takes over what is not given here from another tower."""

    frontend: Frontend
    like: str | None = None
    inputs: list[Input] = []
    graph: Graph | None = None
    outputs: dict[Name, Output] = {}

    def __post_init__(self) -> None:
        if self.like is None and (self.graph is None or not self.inputs or not self.outputs):
            raise ValueError("expected `like`, or all of `inputs`, `graph` and `outputs`")


class Scorer(_Model, frozen=True):
    """How two texts' vectors are compared: dense ones by cosine, dot product or distance, sparse ones by ``sparse_dot`` or
    ``sparse_cosine``, several a
    text by ``maxsim``, or by ``meanmaxsim``, which is divided by the number of the left one's vectors; or dense ones by a
    head of their own (``pair``), the ONNX file ``graph``: (n, dim) ``left`` and ``right`` -> (n, outputs) ``score``."""

    fn: Literal["cosine", "dot", "euclidean", "sparse_dot", "sparse_cosine", "maxsim", "meanmaxsim", "pair"]
    left: str
    right: str
    graph: FileName | None = None

    def __post_init__(self) -> None:
        if (self.fn == "pair") != (self.graph is not None):
            raise ValueError("expected `graph` beside the function pair, and only there")


class Table(_Model, frozen=True):
    """Vectors of things that are not encoded, such as the items of a recommender: a (n, dim) float32 array ``vectors`` and
    the ``ids`` of its rows in a .npz file, comparable with the output ``TOWER.OUTPUT``."""

    file: FileName
    output: str


class Source(_Model, frozen=True):
    """Where the weights came from, and with what they were exported."""

    name: str
    checkpoint_sha256: Sha256
    surgery: list[str] = []
    tools: dict[str, str] = {}


class Manifest(_Model, frozen=True):
    """``embedkit.json``."""

    schema: Literal[1, 2]
    source: Source
    towers: Annotated[dict[Name, Tower], msgspec.Meta(min_length=1)]
    scorers: dict[Name, Scorer]
    files: dict[FileName, FileEntry]
    golden: FileName
    fingerprint: Sha256
    tables: dict[Name, Table] = {}
