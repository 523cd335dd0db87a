"""The errors that embedkit raises on purpose.

::

    EmbedkitError
    ├── BundleError(ValueError)          a bundle that is broken, tampered with, or of another schema
    ├── InputError(ValueError)           text, vectors or records that cannot be used
    │   └── TruncationError              a text longer than the model reads, where that was made an error
    ├── MissingExtraError(ImportError)   an optional package that is not installed
    ├── DeviceError(RuntimeError)        a device or variant that was asked for and is not there
    ├── OverloadedError(RuntimeError)    more requests at once than may wait
    ├── WorkerError(RuntimeError)        a worker process that ended again and again
    ├── ExportError(RuntimeError)        a model that cannot be exported, or failed its checks
    └── StoreError(RuntimeError)         a vector store that refused or failed
        ├── IngestError                  the store failed for good during an ingest; tells what was written before
        ├── StoreURLError(ValueError)    a store address that no plugin understands
        ├── CollectionNotFoundError(LookupError)
        ├── CollectionMismatchError      another dimension, metric or model than the collection was made for
        ├── StaleIndexError              a lexical index that is older than its collection
        ├── FilterError(ValueError)      a filter that is malformed or that this store cannot answer
        └── TransientStoreError          a failure that may pass: worth trying again

Each also derives from a builtin, and each message says what to do next.
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "CollectionMismatchError",
    "CollectionNotFoundError",
    "DeviceError",
    "EmbedkitError",
    "ExportError",
    "FilterError",
    "IngestError",  # noqa: F822 (it is loaded when it is asked for)
    "InputError",
    "MissingExtraError",
    "OverloadedError",
    "StaleIndexError",
    "StoreError",
    "StoreURLError",
    "TransientStoreError",
    "TruncationError",
    "TruncationWarning",
    "WorkerError",
]


class EmbedkitError(Exception):
    """Base of every error that embedkit raises on purpose."""


class BundleError(EmbedkitError, ValueError):
    """A bundle is broken, was changed after it was written, or has an unknown schema."""


class InputError(EmbedkitError, ValueError):
    """A text, vector, id or metadata value cannot be used; the message names the row."""


class TruncationError(InputError):
    """A text is longer than the model reads and truncation was made an error."""


class MissingExtraError(EmbedkitError, ImportError):
    """An optional package is needed and not installed; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, why: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{why} needs the package {package!r}: run  pip install 'embedkit-onnx[{extra}]'")


class DeviceError(EmbedkitError, RuntimeError):
    """A device or a variant was asked for by name and is not there."""


class OverloadedError(EmbedkitError, RuntimeError):
    """More texts wait to be encoded than may; ``waiting`` tells how many."""

    def __init__(self, message: str, *, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(message)


class WorkerError(EmbedkitError, RuntimeError):
    """A worker process could not be started, failed, or ended again and again on the same texts."""


class ExportError(EmbedkitError, RuntimeError):
    """A model cannot be exported, or the exported graph failed a check."""


class StoreError(EmbedkitError, RuntimeError):
    """A vector store refused a request or failed."""


class StoreURLError(StoreError, ValueError):
    """A store URL is malformed or its scheme has no plugin."""


class CollectionNotFoundError(StoreError, LookupError):
    """The store holds no collection of this name."""


class CollectionMismatchError(StoreError):
    """The collection was made for another dimension, metric or model (fingerprint)."""


class StaleIndexError(StoreError):
    """A lexical index was built before the collection changed."""


class FilterError(StoreError, ValueError):
    """A filter is malformed, or uses an operator that this store cannot answer."""


class TransientStoreError(StoreError):
    """A failure that may pass (overload, timeout, cut connection); ``retry_after`` is in seconds, where known."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class TruncationWarning(UserWarning):
    """Some texts were longer than the model reads."""


def __getattr__(name: str) -> object:
    if name == "IngestError":  # it stands by its report, three floors above
        from importlib import import_module

        return import_module("embedkit.ingestion.pipeline.report").IngestError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
