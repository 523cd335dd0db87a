"""The beginning of a long text, where it surely has the tokens that the whole text begins with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_CHARACTERS_A_TOKEN = 16
SHORT = 2 * _CHARACTERS_A_TOKEN
"""Of a text with at most so many characters for each token that is read, no beginning is sought."""
_SEARCHED = 1 << 12
_BETWEEN_WORDS = re.compile("[A-Za-z] [A-Za-z]")

_SPLITTERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Metaspace")
_LOCAL_NORMALIZERS = (
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Precompiled",
    "Prepend",
    "Strip",
    "StripAccents",
)


def head(text: str, tokens: int) -> str:
    """``text``, or of a much longer one some beginning that may hold ``tokens`` tokens and ends between two words."""
    limit = tokens * _CHARACTERS_A_TOKEN
    if len(text) <= tokens * SHORT:
        return text
    place = _BETWEEN_WORDS.search(text, limit, limit + _SEARCHED)
    return text[: place.start() + 1] if place else text


def has_heads(tokenizer: Any) -> bool:
    """Whether of a `tokenizers.Tokenizer` what stands before a space between two ASCII letters is tokenised as if nothing
    stood behind it.

    That is so where normalisation works on characters with the marks that follow them, words are split at spaces before
    the model sees them, and no added token holds a space. Any other tokenizer is taken not to.
    """
    return (
        _local(_settings(tokenizer.normalizer))
        and _splits(_settings(tokenizer.pre_tokenizer))
        and not any(any(map(str.isspace, token.content)) for token in tokenizer.get_added_tokens_decoder().values())
    )


def _settings(part: Any) -> Mapping[str, Any] | None:
    """A part as in ``tokenizer.json``."""
    return None if part is None else json.loads(part.__getstate__())


def _local(normalizer: Mapping[str, Any] | None) -> bool:
    if normalizer is None:
        return True
    if normalizer["type"] == "Sequence":
        return all(map(_local, normalizer["normalizers"]))
    if normalizer["type"] == "Replace":
        pattern = normalizer["pattern"]
        return pattern == {"Regex": " {2,}"} or " " not in pattern.get("String", " ")
    return normalizer["type"] in _LOCAL_NORMALIZERS


def _splits(pre_tokenizer: Mapping[str, Any] | None) -> bool:
    if pre_tokenizer is None:
        return False
    if pre_tokenizer["type"] == "Sequence":  # what comes after the first sees the pieces apart
        return bool(pre_tokenizer["pretokenizers"]) and _splits(pre_tokenizer["pretokenizers"][0])
    if pre_tokenizer["type"] == "ByteLevel":
        return bool(pre_tokenizer.get("use_regex", True))
    if pre_tokenizer["type"] == "Metaspace":
        return bool(pre_tokenizer.get("split", True))
    return pre_tokenizer["type"] in _SPLITTERS
