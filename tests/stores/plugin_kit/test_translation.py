"""What a client raises becomes an error of embedkit."""

from __future__ import annotations

import pytest

from embedkit.errors import CollectionNotFoundError, FilterError, StoreError
from embedkit.stores.plugin_kit.translation import translated_errors


def translate(what: str, error: Exception) -> StoreError:
    return FilterError(f"{what}: {error}")


def test_the_first_error_stays_the_cause() -> None:
    first = KeyError("client")
    with pytest.raises(FilterError, match="^searching: 'client'$") as caught, translated_errors("searching", translate):
        raise first
    assert caught.value.__cause__ is first


def test_errors_of_embedkit_pass_as_they_are() -> None:
    first = CollectionNotFoundError("gone")
    with pytest.raises(CollectionNotFoundError) as caught, translated_errors("searching", translate):
        raise first
    assert caught.value is first
    assert caught.value.__cause__ is None


def test_other_kinds_pass() -> None:
    with pytest.raises(TypeError), translated_errors("searching", translate, (OSError, KeyError)):
        raise TypeError
    with pytest.raises(FilterError), translated_errors("searching", translate, (OSError, KeyError)):
        raise FileNotFoundError
    with pytest.raises(KeyboardInterrupt), translated_errors("searching", translate):
        raise KeyboardInterrupt


def test_a_block_that_raises_nothing() -> None:
    with translated_errors("searching", translate):
        done = True
    assert done
