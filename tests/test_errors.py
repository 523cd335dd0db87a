"""Each error that users can meet, and what becomes of it in another process."""

from __future__ import annotations

import copy
import errno
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import embedkit
from embedkit import errors
from embedkit.errors import ClosedError, DeviceError, DiskError, InputError, OptionError, WorkerError
from embedkit.ingestion.pipeline.report import IngestReport

REPORT = IngestReport("docs", read=9, written=7, seconds=1.5)
MADE = {
    "MissingExtraError": lambda kind: kind("bm25s", "lexical", "a lexical search"),
    "OverloadedError": lambda kind: kind("too many", waiting=12),
    "TransientStoreError": lambda kind: kind("later", retry_after=2.5),
    "IngestError": lambda kind: kind("the disk failed", REPORT),
    "IngestInterrupted": lambda kind: kind(REPORT),
    "DiskError": lambda kind: kind("cannot write a.npy", OSError(errno.ENOSPC, "No space left", "a.npy")),
}


def public() -> list[type[BaseException]]:
    """What is raised on purpose: found by walking the module, its tree and the names of the root."""
    words = [word.partition("(")[0] for word in errors.__doc__.split()]
    named = [getattr(errors, word) for word in words if word.isidentifier() and hasattr(errors, word)]
    values = [*vars(errors).values(), *named, *(getattr(embedkit, name) for name in embedkit.__all__)]
    found = {value for value in values if isinstance(value, type) and issubclass(value, BaseException)}
    return sorted(found, key=lambda kind: kind.__name__)


def made(kind: type[BaseException]) -> BaseException:
    return MADE.get(kind.__name__, lambda kind: kind("what to do next"))(kind)


def raising(kind: type[BaseException]) -> None:
    error = made(kind)
    error.add_note("met in a child")
    raise error


def told(error: BaseException) -> dict[str, object]:
    """All that a handler may ask of an error, whatever keeps it."""
    names = [name for name in dir(error) if not name.startswith("_") and hasattr(error, name)]
    fields = {name: getattr(error, name) for name in names if not callable(getattr(error, name))}
    return {"type": type(error), "args": error.args, "str": str(error), "dict": vars(error), **fields}


@pytest.fixture(scope="module")
def child():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def test_the_walk_finds_them():
    names = {kind.__name__ for kind in public()}
    assert {"IngestError", "IngestInterrupted", "TruncationWarning", "OptionError", "ClosedError", *MADE} <= names
    assert len(names) > 20


@pytest.mark.parametrize("kind", public(), ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_in_another_process(kind, child):
    expected = made(kind)
    expected.add_note("met in a child")
    with pytest.raises(kind) as caught:
        child.submit(raising, kind).result()
    assert told(caught.value) == told(expected)
    assert child.submit(str, 1).result() == "1"  # the pool goes on


@pytest.mark.parametrize("kind", public(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(6))]
)
def test_an_error_is_copied_whole(kind, again):
    error = made(kind)
    error.extra = [1]
    found = again(error)
    assert found is not error
    assert told(found) == told(error)


def test_an_error_of_a_plugin_with_its_own_constructor_is_copied_whole():
    class Refused(errors.StoreError):
        def __init__(self, store: str, *, code: int) -> None:
            self.code = code
            super().__init__(f"{store} refused ({code})")

    assert told(copy.deepcopy(Refused("a", code=7))) == told(Refused("a", code=7))


def test_what_was_caught_before_is_caught_still():
    """Each situation with the classes by which its errors were known before they had one of their own."""
    before = {OptionError: [InputError], DeviceError: [OptionError, RuntimeError]}
    before |= {DiskError: [InputError, OSError], ClosedError: [InputError, WorkerError]}
    for kind, bases in before.items():
        for base in bases:
            assert issubclass(kind, base)


def test_a_disk_error_tells_what_the_system_told():
    error = DiskError("cannot write x", OSError(errno.ENOSPC, "No space left on device", "x"))
    assert (error.errno, error.strerror, error.filename) == (errno.ENOSPC, "No space left on device", "x")
    assert str(error) == "cannot write x"
    assert (DiskError("none", filename="/a").errno, DiskError("none", filename="/a").filename) == (None, "/a")
