"""From texts to ragged token ids and their batches: a role's template, the bundle's tokenizer, truncation that is counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedkit.bundle.manifest import Input
from embedkit.errors import InputError
from embedkit.runtime.frontends.base import Batch, Ids, Unencodable, Widths
from embedkit.runtime.frontends.batching import Padding, batches

from .prefix import SHORT, has_heads, head
from .template import Template, Text
from .tokenizer_file import is_library_error, open_tokenizer


@dataclass(frozen=True, slots=True)
class Ragged:
    """Token ids of n texts: ``ids[i]`` is int64 of its own length; ``truncated[i]`` tells whether tokens were cut
    off. ``types`` (token types) and ``pool`` (1 where the pooling takes the token, else 0) have the same shapes."""

    ids: list[Ids]
    truncated: npt.NDArray[np.bool_]
    types: list[Ids]
    pool: list[Ids]

    @property
    def lengths(self) -> Ids:
        """(n,) tokens of each text."""
        return np.fromiter((len(row) for row in self.ids), dtype=np.int64, count=len(self.ids))


class TextTokenizer:
    """Applies the frontend of one `Template`; safe to be shared by threads. ``types`` of its results are filled where one of
    the graph's ``inputs`` is filled by them, and ``pool`` where the frontend leaves tokens out of the pooling, else empty.
    """

    def __init__(self, template: Template, tokenizer_file: Path, inputs: Sequence[Input] = ()) -> None:
        frontend = template.frontend
        self.frontend, self.template = frontend, template
        self._inputs = list(inputs)
        self._padding = Padding(frontend.pad_id, frontend.least, frontend.padding)
        self._max, self._fixed, self._size = frontend.truncate.max, frontend.fixed, frontend.vocabulary
        types = self._types = any(entry.source == "types" for entry in inputs)
        self._pools = any(entry.source == "pool_mask" for entry in inputs)
        self._slice = frontend.truncate.mode == "slice"
        self._content = frontend.truncate.applies_to == "content"
        self._body = frontend.truncate.applies_to == "body"
        # Of a pair, the library's own cut would keep all that it cuts off in all combinations.
        cut = not (self._slice or self._content or self._body or self.template.pair)
        self._tokenizer: Any = open_tokenizer(tokenizer_file, frontend, cut=cut)
        self._has_heads = has_heads(self._tokenizer)
        self._prefixes: Any = None
        if frontend.pool_mask is not None and "prefix" in frontend.pool_mask.drop:  # counts what stands before a field
            self._prefixes = open_tokenizer(tokenizer_file, frontend)
        self._prefix_lengths: dict[str, int] = {}
        self._closing = self._closing_ids() if self._body else np.empty(0, np.int64)
        self._fast = (
            self.template.plain
            and not self._content
            and not self._body
            and not types
            and frontend.pool_mask is None
            and frontend.first_token is None
        )

    def batches(self, items: Sequence[Text], budget: int, widths: Widths) -> list[Batch]:
        """Batches of at most ``budget`` token slots that hold each of the checked texts once; raises `Unencodable`."""
        ragged = self.encode(items)
        for i, ids in enumerate(ragged.ids):
            if not len(ids):
                raise Unencodable(i, "the tokenizer makes no token of it, so it has no vector")
            if self._size is not None and (beyond := ids[ids >= self._size]).size:
                token = self._tokenizer.id_to_token(int(beyond[0]))
                raise Unencodable(
                    i,
                    f"its token {token!r} has the id {beyond[0]}, and the model has vectors for ids below {self._size} only; leave "
                    "the token out, or train the model with a larger table (resize_token_embeddings) and export it again",
                )
        for i, pool in enumerate(ragged.pool if self._pools else ()):
            if not pool.any():
                reason = "no token of it is left to pool, so it has no vector; it may be empty, or cut before its text begins"
                raise Unencodable(i, reason)
        return batches(
            {"ids": ragged.ids, "pool_mask": ragged.pool, "types": ragged.types},
            ragged.truncated,
            self._padding,
            budget,
            widths,
            longest=self._max,
            fixed=self._fixed,
            numbers={e.name: self.template.choice(e.choice, items) for e in self._inputs if e.choice is not None},
        )

    def encode(self, texts: Sequence[Text]) -> Ragged:
        """Tokenise checked items; each result is what the item alone would give. Raises `InputError` where a
        template's literals alone are too long."""
        if self._fast:
            return self._encode_plain(
                [text if isinstance(text, str) else text[str(self.template.single)] for text in texts]
            )
        spread = [self.template.spread(text) for text in texts]
        encodings = self._encodings(self._tokenizer.encode_batch, [s[0] for s in spread])
        truncated = np.zeros(len(spread), dtype=np.bool_)
        ids: list[Ids] = []
        types: list[Ids] = []
        pool: list[Ids] = []
        firsts = self.template.choice(self.frontend.first_token, texts) if self.frontend.first_token else None
        for i, (encoding, (_, spans, prefix)) in enumerate(zip(encodings, spread, strict=True)):
            row = np.array(encoding.ids, dtype=np.int64)
            kept = np.arange(len(row))
            if self._content:
                kept = self._cut_content(encoding, spans)
            elif self._slice:
                kept = kept[: self._max]
            elif self._body and len(row) > self._max:
                closing = len(self._closing)
                kept = np.concatenate([kept[: self._max - closing], kept[len(kept) - closing :]])
                row[len(row) - closing :] = self._closing
            elif self.template.pair:
                kept = self._cut_pair(encoding)
            truncated[i] = len(kept) < len(row) or bool(encoding.overflowing)
            row = row[kept]
            if firsts is not None and len(row):
                row[0] = firsts[i]
            ids.append(row)
            if self._types:
                types.append(np.array(encoding.type_ids, dtype=np.int64)[kept])
            if self.frontend.pool_mask is not None:
                places = _in_fields(encoding, spans)[kept] if "template" in self.frontend.pool_mask.drop else None
                pool.append(self._pooled(row, np.array(encoding.special_tokens_mask)[kept], prefix, places))
        return Ragged(ids, truncated, types, pool)

    def _encode_plain(self, texts: list[str]) -> Ragged:
        parts = self.frontend.template
        if len(parts) > 1:
            texts = ["".join(text if part.lit is None else part.lit for part in parts) for text in texts]
        # A text of a megabyte costs hundreds of times the time and memory of the tokens that are read.
        short = self._max * SHORT if self._has_heads else sys.maxsize
        heads = [text if len(text) <= short else head(text, self._max) for text in texts]
        encodings = self._encodings(self._tokenizer.encode_batch_fast, heads)
        for i, (text, first) in enumerate(zip(texts, heads, strict=True)):
            if len(first) < len(text) and not (encodings[i].overflowing or len(encodings[i].ids) > self._max):
                encodings[i] = self._encodings(self._tokenizer.encode_batch_fast, [text])[0]
        truncated = np.zeros(len(texts), dtype=np.bool_)
        rows: list[Ids] = []
        for i, encoding in enumerate(encodings):
            ids = np.array(encoding.ids, dtype=np.int64)
            if self._slice:
                truncated[i], ids = len(ids) > self._max, ids[: self._max]
            else:
                truncated[i] = len(ids) >= self._max and bool(encoding.overflowing)
            rows.append(ids)
        return Ragged(rows, truncated, [], [])

    def _encodings(self, encode: Callable[[list[Any]], list[Any]], texts: list[Any]) -> list[Any]:
        """What the library gives; `InputError` naming the text where its tokenizer has no token for what it does not
        know."""
        try:
            return encode(texts)
        except BaseException as error:
            if not is_library_error(error):
                raise
            if len(texts) > 1:
                return [self._encodings(encode, [text])[0] for text in texts]
            raise InputError(
                f"the tokenizer cannot encode {texts[0]!r:.80}: {error}; export the model with an unknown token (unk_token)"
            ) from error

    def _cut_content(self, encoding: Any, spans: list[tuple[int, int, int]]) -> npt.NDArray[np.intp]:
        """Indices of the tokens that stay when the fields' last tokens are taken away until the rest fits."""
        excess = len(encoding.ids) - self._max
        if excess <= 0:
            return np.arange(len(encoding.ids))
        drop: list[int] = []
        for segment, start, end in reversed(spans):
            inside = [
                i
                for i, (place, (first, last)) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True))
                if place == segment and first < end and last > start
            ]
            drop += inside[max(0, len(inside) - (excess - len(drop))) :]
            if len(drop) == excess:
                return np.delete(np.arange(len(encoding.ids)), drop)
        raise InputError(
            f"the template without its fields has {len(encoding.ids) - len(drop)} tokens, and the model reads {self._max}"
        )

    def _closing_ids(self) -> Ids:
        """The tokens of the template's closing literal and of what the tokenizer adds behind it, as they are after a digit."""
        last = max(i for i, part in enumerate(self.template.parts) if part.field is not None)
        item = dict.fromkeys(self.template.fields, "0")
        text, _, _ = self.template.spread(item)
        start = len(text) - sum(len(part.lit or "") for part in self.template.parts[last + 1 :])
        encoding = self._encodings(self._tokenizer.encode_batch, [text])[0]
        first = len(encoding.ids)
        while first and (encoding.special_tokens_mask[first - 1] or encoding.offsets[first - 1][0] >= start):
            first -= 1
        if len(encoding.ids) - first >= self._max:
            raise InputError(
                f"the template ends with {len(encoding.ids) - first} tokens, and the model reads {self._max} in all"
            )
        return np.array(encoding.ids[first:], dtype=np.int64)

    def _cut_pair(self, encoding: Any) -> npt.NDArray[np.intp]:
        """Indices of the tokens that stay when the longer segment is cut until both are equally long, then both: as
        the tokenizers library does it (longest first)."""
        owners = np.array([-1 if owner is None else owner for owner in encoding.sequence_ids])
        places = [np.flatnonzero(owners == segment) for segment in (0, 1)]
        room = self._max - int((owners == -1).sum())
        if sum(map(len, places)) <= room:
            return np.arange(len(owners))
        if room < 0:
            raise InputError(
                f"a pair has {len(owners) - sum(map(len, places))} special tokens, and the model reads {self._max}"
            )
        short, long = sorted(map(len, places))
        long = max(short, room - short)
        if short + long > room:
            short, long = room // 2, room - room // 2
        first, second = (long, short) if len(places[0]) > len(places[1]) else (short, long)
        drop = np.concatenate([places[0][first:], places[1][second:]])
        return np.delete(np.arange(len(owners)), drop)

    def _pooled(
        self, ids: Ids, special: npt.NDArray[np.int64], prefix: str, in_fields: npt.NDArray[np.bool_] | None
    ) -> Ids:
        pool = np.ones(len(special), dtype=np.int64)
        mask = self.frontend.pool_mask
        assert mask is not None
        if mask.ids:
            pool[np.isin(ids, mask.ids)] = 0
        for rule in mask.drop:
            kind, _, number = rule.partition(":")
            if kind == "special":
                pool[special == 1] = 0
            elif kind == "first":
                pool[: int(number or 1)] = 0
            elif kind == "template":
                assert in_fields is not None
                pool[~in_fields] = 0
            elif prefix:
                pool[: self._prefix_length(prefix)] = 0
        return pool

    def _prefix_length(self, prefix: str) -> int:
        """Tokens of the prefix by itself without the special ones that close it: as sentence-transformers counts."""
        if prefix not in self._prefix_lengths:
            encoding = self._prefixes.encode(prefix)
            closing = 0
            while closing < len(encoding.ids) and encoding.special_tokens_mask[-1 - closing]:
                closing += 1
            if len(self._prefix_lengths) > 10_000:
                self._prefix_lengths.clear()
            self._prefix_lengths[prefix] = len(encoding.ids) - closing
        return self._prefix_lengths[prefix]


def _in_fields(encoding: Any, spans: list[tuple[int, int, int]]) -> npt.NDArray[np.bool_]:
    """(tokens,) whether each token shares a character with a field."""
    out = np.zeros(len(encoding.ids), dtype=np.bool_)
    for i, (place, (first, last)) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True)):
        out[i] = any(place == segment and first < end and last > start for segment, start, end in spans)
    return out
