"""What a database's client raises, as errors of embedkit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from embedkit.errors import EmbedkitError, StoreError


@contextmanager
def translated_errors(
    what: str,
    translate: Callable[[str, Exception], StoreError],
    kinds: type[Exception] | tuple[type[Exception], ...] = Exception,
) -> Iterator[None]:
    """Whatever of ``kinds`` the block raises becomes the error that ``translate(what, error)`` gives, with the first as its
    cause; ``what`` says what was done, as in "opening the folder 'index'". Errors of embedkit pass as they are."""
    try:
        yield
    except EmbedkitError:
        raise
    except kinds as error:
        raise translate(what, error) from error
