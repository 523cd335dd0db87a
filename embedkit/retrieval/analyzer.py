"""Text cut into the words that a lexical index counts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from typing import TypeAlias

from embedkit.checks import check_text, items_of
from embedkit.errors import InputError, OptionError
from embedkit.system.extras import needed

Cut: TypeAlias = Callable[[str], list[str]]

# Chinese characters and Japanese kana: written without spaces, so each is a word of its own.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"(?=\w)[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def cutter(language: str | None = None, stopwords: Collection[str] = ()) -> Cut:
    """The function that cuts a text into words: runs of letters, digits and underscores of the NFKC form in lower case;
    each Chinese character and kana is a word.

    Words among ``stopwords`` (written in lower case) are left out; the rest are reduced to their stems by Snowball's
    rules for ``language``, such as ``english`` or ``de``. Raises `InputError` for a language that has none, and
    `MissingExtraError` without the stemmer.
    """
    if isinstance(stopwords, str):
        raise OptionError(f"stopwords: expected a list of words, found the string {stopwords!r}")
    dropped = frozenset(
        check_text(word, "stopwords") for word in items_of("stopwords", stopwords, "word", ordered=False)
    )
    stem = _stemmer(language) if language is not None and check_text(language, "language") else None

    def cut(text: str) -> list[str]:
        words: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
        if dropped:
            words = [word for word in words if word not in dropped]
        return words if stem is None else stem(words)

    return cut


def _stemmer(language: str) -> Callable[[list[str]], list[str]]:
    stemmers = needed("Stemmer", "the stems of words", extra="lexical")
    try:
        stems: Callable[[list[str]], list[str]] = stemmers.Stemmer(language).stemWords
    except (KeyError, UnicodeEncodeError):
        raise InputError(
            f"language: there are no rules for the stems of {language!r}; there are for {', '.join(stemmers.algorithms())}"
        ) from None
    return stems
