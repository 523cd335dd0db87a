"""A tokenizer is opened where it can do what the frontend asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embedkit import BundleError
from embedkit.bundle.manifest import Choice, Part, TextFrontend, Truncate
from embedkit.runtime.frontends.text.tokenizer_file import is_library_error, open_tokenizer, refusing


def frontend(most: int = 8, **changes: Any) -> TextFrontend:
    return TextFrontend(
        **{
            "tokenizer": "tokenizer.json",
            "template": [Part(field="text")],
            "truncate": Truncate(max=most),
            "pad_id": 258,
        }
        | changes
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (frontend(2), r"truncate\.max: expected more than the 2 special tokens"),
        (frontend(pad_id=259), r"pad_id: expected the id of a token of tokenizer\.json \(259 tokens\), found 259"),
        (frontend(pad_id=2**40), r"pad_id: expected"),
        (frontend(first_token=Choice(field="to", values={"a": 3, "b": 900})), r"first_token\.values\.b: expected"),
    ],
)
def test_what_it_cannot_do_is_named(bundle: Path, given: TextFrontend, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        open_tokenizer(bundle / "tokenizer.json", given)


def test_it_cuts_where_that_is_wanted(bundle: Path) -> None:
    text = "a text of many bytes"
    assert len(open_tokenizer(bundle / "tokenizer.json", frontend(), cut=True).encode(text).ids) == 8
    assert len(open_tokenizer(bundle / "tokenizer.json", frontend()).encode(text).ids) == len(text) + 2


def test_what_the_library_raises() -> None:
    panic = type("PanicException", (BaseException,), {})
    assert is_library_error(ValueError())
    assert is_library_error(panic())
    assert not is_library_error(KeyboardInterrupt())
    with pytest.raises(BundleError, match="it fails .no entry."), refusing("it fails"):
        raise panic("no entry")
    with pytest.raises(KeyboardInterrupt), refusing("it fails"):
        raise KeyboardInterrupt
