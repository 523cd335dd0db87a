"""The errors that embedkit raises on purpose.

::

    EmbedkitError
    ├── BundleError(ValueError)          a bundle that is broken, tampered with, or of another schema
    ├── InputError(ValueError)           text, vectors or records that cannot be used
    │   ├── TruncationError              a text longer than the model reads, where that was made an error
    │   ├── OptionError                  an option of a call with a value that it does not take
    │   │   └── DeviceError(RuntimeError)    a device or variant that was asked for and is not there
    │   ├── DiskError(OSError)           a file or folder that cannot be read or written, or a full disk
    │   └── ClosedError                  use of what was closed before; a WorkerError too
    ├── MissingExtraError(ImportError)   an optional package that is not installed
    ├── OverloadedError(RuntimeError)    more requests at once than may wait
    ├── DeadlineError(TimeoutError)      a request that waited longer than its caller wanted
    ├── WorkerError(RuntimeError)        a worker process that ended again and again
    ├── RemoteError(RuntimeError)        a server of embeddings that is not there, refuses, or has another model
    ├── ExportError(RuntimeError)        a model that cannot be exported, or failed its checks
    └── StoreError(RuntimeError)         a vector store that refused or failed
        ├── IngestError                  the store failed for good during an ingest; tells what was written before
        ├── StoreURLError(ValueError)    a store address that no plugin understands
        ├── CollectionNotFoundError(LookupError)
        ├── CollectionMismatchError      another dimension, metric or model than the collection was made for
        ├── StaleIndexError              a lexical index that is older than its collection
        ├── FilterError(ValueError)      a filter that is malformed or that this store cannot answer
        └── TransientStoreError          a failure that may pass: worth trying again

    KeyboardInterrupt
    └── IngestInterrupted                Ctrl-C stopped an ingest; tells what was written before

    UserWarning
    └── TruncationWarning                texts were longer than the model reads, and were cut

Each error also derives from a builtin, and each message says what to do next. All survive `pickle` and `copy` whole, with
their message and attributes (but, as Python has it, without cause and traceback), so that they cross processes.
`IngestError` and `IngestInterrupted` stand by their report, three floors above, and are handed on here.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = [
    "BundleError",
    "ClosedError",
    "CollectionMismatchError",
    "CollectionNotFoundError",
    "DeadlineError",
    "DeviceError",
    "DiskError",
    "EmbedkitError",
    "ExportError",
    "FilterError",
    "IngestError",  # noqa: F822 (it is loaded when it is asked for)
    "IngestInterrupted",  # noqa: F822 (it is loaded when it is asked for)
    "InputError",
    "MissingExtraError",
    "OptionError",
    "OverloadedError",
    "RemoteError",
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

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args), self.__dict__ or None


def _rebuilt(kind: type[EmbedkitError], args: tuple[object, ...]) -> EmbedkitError:
    """An error with ``args``, made by the builtin that gives it its layout, since ``kind`` may take other arguments."""
    builtin: Any = kind
    while builtin.__module__ != "builtins":
        builtin = builtin.__base__
    error: EmbedkitError = builtin.__new__(kind)
    builtin.__init__(error, *args)
    return error


class BundleError(EmbedkitError, ValueError):
    """A bundle is broken, was changed after it was written, or has an unknown schema."""


class InputError(EmbedkitError, ValueError):
    """A text, vector, id or metadata value cannot be used; the message names the row."""


class TruncationError(InputError):
    """A text is longer than the model reads and truncation was made an error."""


class OptionError(InputError):
    """An option of a call has a value that it does not take; the message names the option and what it takes."""


class DiskError(InputError, OSError):
    """A file or folder cannot be read or written, or its disk is full.

    ``errno``, ``strerror`` and ``filename`` are those of the `OSError` that it is raised from, where there is one.
    """

    def __init__(
        self, message: str, cause: OSError | None = None, *, filename: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(message)
        self.errno = cause.errno if cause else None
        self.strerror = cause.strerror if cause else None
        self.filename = os.fspath(filename) if filename is not None else cause.filename if cause else None

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        place = {"errno": self.errno, "strerror": self.strerror, "filename": self.filename}
        rebuilt, how, state = super().__reduce__()
        return rebuilt, how, {**(state or {}), **place}


class MissingExtraError(EmbedkitError, ImportError):
    """An optional package is needed and not installed; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, why: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{why} needs the package {package!r}: run  pip install 'embedkit-onnx[{extra}]'")


class DeviceError(OptionError, RuntimeError):
    """A device or a variant was asked for by name and is not there."""


class OverloadedError(EmbedkitError, RuntimeError):
    """More texts wait to be encoded than may; ``waiting`` tells how many, and ``retry_after`` in how many seconds about those
    will be done, where it is known."""

    def __init__(self, message: str, *, waiting: int, retry_after: float | None = None) -> None:
        self.waiting, self.retry_after = waiting, retry_after
        super().__init__(message)


class DeadlineError(EmbedkitError, TimeoutError):
    """A request was not begun, or not finished, within the time that its caller gave it."""


class WorkerError(EmbedkitError, RuntimeError):
    """A worker process could not be started, failed, or ended again and again on the same texts."""


class ClosedError(InputError, WorkerError):
    """An encoder was used after it was closed; the message says what to make anew."""


class RemoteError(EmbedkitError, RuntimeError):
    """A server of embeddings does not answer, refuses a request, or has not the model that it had.

    ``status`` is that of its answer, None where there was none that could be used; ``said`` what the server said itself.
    """

    def __init__(self, message: str, *, status: int | None = None, said: str = "") -> None:
        self.status, self.said = status, said
        super().__init__(message)


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
    if name in ("IngestError", "IngestInterrupted"):
        from importlib import import_module

        return getattr(import_module("embedkit.ingestion.pipeline.report"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
