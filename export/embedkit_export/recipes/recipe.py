"""The recipe: what surrounds the backbone. Roles and templates, truncation, pooling, stages, similarity.

A recipe is inferred from the model (see `embedkit_export.plan.detection`), or given: as a TOML file (``--recipe recipe.toml``), or as the
objects of this module, where modules of torch may stand for pooling and stages.
"""

from __future__ import annotations

import os
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from embedkit.bundle.manifest import Choice, Part
from embedkit.errors import InputError

from .surgery import Surgery

Mode: TypeAlias = Literal[
    "first", "mean", "max", "last", "eos", "highest", "mask", "pooler", "weighted_mean", "mean_sqrt_length", "attention"
]
Dropped: TypeAlias = Annotated[str, msgspec.Meta(pattern="^(first(:[1-9][0-9]*)?|special|prefix|template)$")]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class _Piece(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True, kw_only=True):
    pass


class Pooling(_Piece, frozen=True):
    """From token vectors to one vector."""

    mode: Mode | list[Mode] = "mean"
    """``pooler`` is the first token through the model's own pooler; ``eos`` the first token that closes a text, ``highest``
    that with the largest id (how CLIP finds it); several modes are concatenated."""
    layers: list[int] = msgspec.field(default_factory=lambda: [-1])
    """The hidden states that are pooled: 0 the embeddings, k the k-th layer, -1 the last."""
    join: Literal["concat", "mean"] = "concat"
    """How several layers become one."""
    layer_weights: list[float] | None = None
    """Of a mean: how much each layer counts, divided by their sum."""
    without: list[Dropped] = []
    """Tokens that are read and not pooled: ``special``, ``first``, ``first:N``, ``prefix`` (all before the last field), or
    ``template`` (all that are no part of a field)."""
    masked: bool = True
    """False pools all tokens that are read, whatever `without` leaves out of other outputs."""
    padding: bool = False
    """Whether padding is pooled like text; needs a fixed length."""
    weights: str | None = None
    """For ``attention``: where its weights are (``FILE:PREFIX``), see `embedkit_export.modules.pooling.AttentionPool`."""
    heads: Positive = 1
    ink: bool = False
    """Of texts that were drawn: only patches that are not white all over are pooled."""


class TokenChoice(_Piece, frozen=True):
    """The token that takes the place of the first, by the value of a field."""

    field: str
    values: dict[str, str]
    default: str | None = None


class Side(_Piece, frozen=True):
    """A number that the backbone takes for each text (such as its expert), by the value of a field."""

    field: str
    values: dict[str, int]
    default: str | None = None

    def choice(self) -> Choice:
        """As the manifest has it."""
        return Choice(field=self.field, values=self.values, default=self.default)


class Role(_Piece, frozen=True):
    """How one kind of text is encoded; what is None is taken from the recipe."""

    template: str | list[str] | None = None
    """``{text}`` and other fields between literal text, byte for byte (``{{`` is a brace); ``{text:strip}`` is without the
    white space around it; a list of two is a pair."""
    fields: dict[str, str] | None = None
    """Texts for fields that an input does not give."""
    max_tokens: Positive | None = None
    truncate: Literal["smart", "slice"] | None = None
    """``smart`` keeps the closing special tokens; ``slice`` cuts after they were added."""
    cut: Literal["all", "content", "body"] | None = None
    """What a smart cut may take: ``content`` leaves the template's literals whole, ``body`` the one that closes it."""
    pad: Positive | None = None
    """A fixed number of tokens that every text is padded to."""
    pad_least: Positive | None = None
    """The number of tokens that every text with fewer is padded to; takes the place of ``pad``."""
    padding: Literal["ignored", "kept", "read"] | None = None
    """Whether padding to a fixed or least length is part of the text: see `embedkit.bundle.manifest.TextFrontend`."""
    pad_token: str | None = None
    """The token that a text is padded with, where it is not the tokenizer's."""
    without: list[Dropped] | None = None
    """As in `Pooling`, for this role."""
    without_tokens: list[str] | None = None
    """Tokens of the vocabulary that are left out wherever they are."""
    first_token: TokenChoice | None = None
    model: str | None = None
    """Another checkpoint for this role: a folder."""
    surgery: Surgery | None = None
    pooling: Any = None
    token_stages: list[Any] | None = None
    stages: list[Any] | None = None
    image: Any = None
    """That the role reads pictures: ``auto`` (as the model's own files prepare them), the name of such a file, or a table or
    `recipes.images.ImageInput`."""
    features: Any = None
    """That the role reads numbers which were made before: a table or a `recipes.features.FeaturesInput`."""
    ids: IdsInput | None = None
    """Of a part: that it reads sequences of ids."""
    parts: dict[str, Role] | None = None
    """That the role reads items of several parts, by name, each a `Role` that says what it reads (a picture by ``image``, numbers by
    ``features``, ids by ``ids``, else a text). A part fills the argument of its name; of a text NAME_mask is its mask."""
    module: str | None = None
    """The part of a live model (its attribute, such as ``vision_model``) that this role goes through."""
    outputs: dict[str, Any] | None = None
    """Outputs of this role, beside those of the recipe, and in the place of those of the same name."""
    dense: bool | None = None
    """Whether the pooled vector is an output of this role."""
    audio: Any = None
    """That the role reads sounds: ``auto`` (as the model's own files prepare them), or a table or `recipes.audio.AudioInput`."""
    special_tokens: bool | None = None
    """False where the tokenizer adds no special tokens: the template has all that are read."""

    @property
    def names_parts(self) -> bool:
        """Whether it says what is done by itself, so that nothing of the model is to be found out: a module of it, parts of items,
        numbers that were made before."""
        return self.module is not None or bool(self.parts) or self.features is not None


_READS = ("image", "audio", "features", "ids", "parts")
"""What says that a role reads something other than texts."""


class IdsInput(_Piece, frozen=True):
    """A model that reads sequences of ids below ``size`` in the place of texts: at most ``max`` of one, the ``keep`` ones;
    ``pad_id``, which no sequence holds, fills batches up on the side ``pad``, to ``length`` where there is one."""

    size: Positive
    max: Positive
    keep: Literal["first", "last"] = "last"
    pad: Literal["left", "right"] = "right"
    pad_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    length: Positive | None = None


class TableOf(_Piece, frozen=True):
    """Vectors of things that are not encoded: rows of the model's parameter ``weights`` (n, dim), but those of the numbers
    ``skip``; a row's number is its id."""

    weights: str
    skip: list[Annotated[int, msgspec.Meta(ge=0)]] = []


class CrossOf(_Piece, frozen=True):
    """The role (``tower``) whose items have two parts, a question and what is stored of another item; ``takes`` says of which output
    (``ROLE.OUTPUT``) a part's numbers are, and ``stored`` which part is the stored item's."""

    tower: str
    takes: dict[str, str]
    stored: str


class Recipe(_Piece, frozen=True):
    """All that an export needs to know of a model beside its weights."""

    pooling: Any = Pooling()
    """A `Pooling` (in TOML: its mode, or a table), or a module (batch, tokens, dim), mask -> (batch, dim)."""
    token_stages: list[Any] = []
    """Stages on token vectors, before the pooling."""
    stages: list[Any] = []
    """Stages on the vector, in order: see `recipes.stages`; or modules (batch, n, dim) -> (batch, n, dim)."""
    dense: bool = True
    """Whether the pooled vector is an output, ``dense``; heads may read it all the same."""
    outputs: dict[str, Any] = {}
    """Other outputs by name, each a table or one of `outputs`."""
    pair: Any = None
    """A head that scores two pooled vectors: a table or a `pairs.Pair`."""
    similarity: Literal["cosine", "dot", "euclidean"] = "cosine"
    matryoshka: list[Positive] = []
    """Sizes that the first numbers of a vector were trained for."""
    causal: bool | None = None
    """False lets every token of a decoder see all others; None leaves the model as it is."""
    model_class: str | None = None
    """The transformers class to load, where AutoModel takes a wrong one."""
    surgery: Surgery | None = None
    inputs: dict[str, Side] = {}
    """Numbers that the backbone takes beside token ids, by the name of its argument."""
    roles: dict[str, Role] = {}
    template: str | list[str] = "{text}"
    fields: dict[str, str] = {}
    max_tokens: Positive | None = None
    truncate: Literal["smart", "slice"] = "smart"
    cut: Literal["all", "content", "body"] | None = None
    pad: Positive | None = None
    pad_least: Positive | None = None
    padding: Literal["ignored", "kept", "read"] = "ignored"
    pad_token: str | None = None
    without_tokens: list[str] = []
    first_token: TokenChoice | None = None
    ids: IdsInput | None = None
    """That the model reads sequences of ids, not texts."""
    image: Any = None
    """That the model reads pictures, as of `Role`; found by itself where the model says so."""
    tables: dict[str, TableOf] = {}
    """Tables of vectors that go into the bundle, comparable with the pooled vector."""
    special_tokens: bool = True
    dim: Positive | None = None
    """How many numbers of a vector, the first, are given where no size is asked for; all by default. As in
    sentence-transformers a vector that is cut is not of unit length again."""
    power: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """Outputs whose probabilities are multiplied, each to the power of its share of these weights (p^(1 - w) * q^w)."""
    cross: dict[str, CrossOf] = {}
    """Graphs that read a question and what is stored of an item together."""
    fused: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """Dense outputs by name with their weights: two items are compared by the weighted mean of these outputs' scores."""
    prompts: dict[str, list[str]] = {}
    """Sets of templates by name, each text with one ``{}`` for what is named: a label's vector is the mean of theirs."""
    features: Any = None
    """That the model reads numbers which were made before, as of `Role`."""
    parts: dict[str, Role] | None = None
    """That the model reads items of several parts, as of `Role`."""
    audio: Any = None
    """That the model reads sounds, as of `Role`; found by itself where the model says so."""

    def role(self, name: str) -> Role:
        """A role with all that it takes from the recipe. A recipe without the roles ``default``, ``query`` or
        ``document`` has them as it is, or as its only role; ``default`` is otherwise the document's."""
        given = self.roles.get(name)
        if given is None:
            given = self.roles.get("document", Role()) if name == "default" else Role()
        stated = any(getattr(given, key) is not None for key in (*_READS, "template"))
        own = {
            key: getattr(self, key)
            if value is None and hasattr(self, key) and not (stated and key in _READS)
            else value
            for key, value in msgspec.structs.asdict(given).items()
        }
        return Role(**own)

    def all_roles(self) -> list[Role]:
        """Every role that is stated."""
        return [self.role(name) for name in self.names()]

    def names(self) -> list[str]:
        """All roles, ``default`` first, then by name."""
        return ["default", *sorted({*self.roles, "query", "document"} - {"default"})]


def read(path: str | os.PathLike[str]) -> Recipe:
    """A recipe from a TOML file; raises `InputError` naming the field, what was expected and what is wrong."""
    file = Path(path)
    try:
        return parse(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"recipe {file}: cannot be read: {error}") from None


def parse(raw: bytes | str, where: str = "recipe") -> Recipe:
    """A recipe from TOML."""
    try:
        recipe = msgspec.toml.decode(raw, type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message, _, place = str(error).partition(" - at `$.")
        raise InputError(f"recipe {where}: {place.rstrip('`') + ': ' if place else ''}{message}") from None
    for name in recipe.names():
        parts(recipe.role(name).template or "", {}, f"recipe {where}")
        pooling(recipe.role(name).pooling, f"recipe {where}")
    return recipe


def pooling(given: Any, where: str = "recipe") -> Any:
    """A `Pooling` from its mode, a table, or itself; a module of torch stays."""
    if isinstance(given, str | list):
        given = {"mode": given}
    if not isinstance(given, dict):
        return given
    try:
        return msgspec.convert(given, Pooling)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: pooling: {error}; found {given!r:.80}") from None


def parts(template: str | list[str], fields: dict[str, str], where: str = "recipe") -> list[Part]:
    """A template as the manifest has it."""
    out: list[Part] = []
    for number, segment in enumerate([template] if isinstance(template, str) else template):
        if number:
            out.append(Part(pair=True))
        try:
            pieces = list(string.Formatter().parse(segment))
        except ValueError as error:
            raise InputError(f"{where}: template {segment!r}: {error}; write {{{{ for a brace") from None
        for literal, name, spec, conversion in pieces:
            if literal:
                out.append(Part(lit=literal))
            if name is not None:
                if not name.isidentifier() or spec not in ("", "strip") or conversion:
                    raise InputError(
                        f"{where}: template {segment!r}: expected fields such as {{text}}, found {{{name}}}"
                    )
                out.append(Part(field=name, default=fields.get(name), strip=spec == "strip"))
    names = [part.field for part in out if part.field]
    if not names or len(set(names)) != len(names) or (isinstance(template, list) and len(template) != 2):
        raise InputError(
            f"{where}: template {template!r}: expected at least one field such as {{text}}, each once, and at most two segments"
        )
    return _joined(out)


def _joined(given: list[Part]) -> list[Part]:
    """Neighbouring literals (a doubled brace splits one) as one."""
    out: list[Part] = []
    for part in given:
        if part.lit is not None and out and out[-1].lit is not None:
            out[-1] = Part(lit=out[-1].lit + part.lit)
        else:
            out.append(part)
    return out


@dataclass
class Inferred:
    """A recipe, why each part of it is as it is, and what the user should know of it."""

    recipe: Recipe
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stated: bool = False
    """Whether the model itself is the reference: nothing of its own statement was changed."""
