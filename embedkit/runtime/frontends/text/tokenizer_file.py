"""A bundle's tokenizer, opened only where it can do what the manifest asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from embedkit.bundle.manifest import TextFrontend
from embedkit.errors import BundleError


def open_tokenizer(path: Path, frontend: TextFrontend, *, cut: bool = False) -> Any:
    """The `tokenizers.Tokenizer` in ``path``, which neither pads nor cuts, or (``cut``) cuts to the length that the frontend
    names; `BundleError` that names the frontend's field where it cannot."""
    from tokenizers import Tokenizer

    with refusing(f"tokenizer: {path.name} is no tokenizer that this version of tokenizers reads"):
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        pair = any(part.pair for part in frontend.template)
        added = tokenizer.num_special_tokens_to_add(pair)
        size = tokenizer.get_vocab_size(with_added_tokens=True)
    longest = frontend.truncate.max
    if longest <= added:
        raise BundleError(
            f"truncate.max: expected more than the {added} special tokens that {path.name} adds, found {longest}; export the "
            "bundle again"
        )
    wanted = {"pad_id": frontend.pad_id}
    if frontend.first_token is not None:
        wanted |= {f"first_token.values.{key}": number for key, number in frontend.first_token.values.items()}
    for place, number in wanted.items():
        if number >= size and not _has(tokenizer, number):
            raise BundleError(f"{place}: expected the id of a token of {path.name} ({size:,} tokens), found {number}")
    with refusing(f"tokenizer: {path.name} fails on the text 'a'"), suppress(Exception):  # a text may have no token
        tokenizer.encode("a", "a" if pair else None)
    if cut:
        with refusing(f"truncate.max: {path.name} cannot cut to {longest} tokens"):
            tokenizer.enable_truncation(longest)
            with suppress(Exception):
                tokenizer.encode("a b c")
    return tokenizer


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """`BundleError` that begins with ``what`` for whatever the library raises."""
    try:
        yield
    except BaseException as error:
        if not is_library_error(error):
            raise
        raise BundleError(f"{what} ({error}); copy or export the bundle again") from error


def is_library_error(error: BaseException) -> bool:
    """Whether the tokenizers library may have raised this: an exception, or the end of its own code by a panic, which is
    none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _has(tokenizer: Any, number: int) -> bool:
    with refusing("tokenizer"):
        return number < 1 << 32 and tokenizer.id_to_token(number) is not None
