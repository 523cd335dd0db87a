"""Questions against a collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from .encoding import TextEncoder
from .errors import CollectionMismatchError, InputError
from .filters import Filter
from .guard import GuardedStore
from .records import Hit
from .registry import opened


@overload
def search(  # type: ignore[overload-overlap]
    question: str,
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = ...,
    filter: Filter | None = ...,
) -> list[Hit]: ...
@overload
def search(
    question: Sequence[str],
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = ...,
    filter: Filter | None = ...,
) -> list[list[Hit]]: ...
def search(
    question: str | Sequence[str],
    encoder: TextEncoder,
    store: GuardedStore | str,
    *,
    collection: str,
    k: int = 10,
    filter: Filter | None = None,
) -> list[Hit] | list[list[Hit]]:
    """The ``k`` documents nearest to a question, best first; a list of questions gives a list of such lists.

    ``store`` is what `embedkit.open_store` returned, or a store URL. ``filter`` is made with `embedkit.F` and compares
    metadata. Raises `InputError` for an empty question, `CollectionNotFoundError`, and, before anything is encoded,
    `CollectionMismatchError` where the collection holds another model's vectors.
    """
    single = isinstance(question, str)
    questions = [question] if isinstance(question, str) else list(question)
    for i, text in enumerate(questions):
        if isinstance(text, str) and not text.strip():
            raise InputError(f"question {i}: expected some text, found {text!r}")
    with opened(store) as connection:
        rows = connection.open(collection)
        rows.require_fingerprint(encoder.fingerprint)
        if not encoder.allows(rows.info.metric):
            raise CollectionMismatchError(
                f"collection {collection!r} ranks by the metric {rows.info.metric!r}, and this model's vectors are compared by "
                f"{encoder.metric!r}; ingest into a new collection"
            )
        answers = rows.query(encoder.encode_query(questions), k, filter=filter)
    return answers[0] if single else answers
