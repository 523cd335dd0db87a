"""Files of other machines by their address: ``s3://``, ``gs://``, ``hf://`` and ``https://``, each by its package (fsspec), read
and, but of ``https://``, written.

Credentials are those that the package finds in the environment; an address has none. Whatever a package raises is an `OSError`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Literal, cast

from embedkit.errors import EmbedkitError, InputError
from embedkit.system.extras import needed

SCHEMES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "hf": ("huggingface_hub", "hf"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "memory": ("fsspec", "http"),  # of this process, for tests
}
"""What each needs: a package, and the extra that brings it."""

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_QUERY = re.compile(r"(?<=://)([^\s'\"?#]*)[?#][^\s'\"]*")
_BLOCK = 1 << 20
_CONNECT, _SILENT = 10, 60
"""Seconds that a server of the web is waited for: until it is there, and for each next piece."""


def is_far(path: str) -> bool:
    """Whether ``path`` is an address, and no name of a file of this machine."""
    return _FORM.match(path) is not None


def check_address(path: str) -> None:
    """Raise `InputError` unless its scheme is one of `SCHEMES` and it holds no credentials, and `MissingExtraError` without its
    package."""
    scheme = _scheme(path)
    if scheme not in SCHEMES:
        raise InputError(
            f"{path}: expected an address that begins with one of {', '.join(f'{one}://' for one in SCHEMES)}"
        )
    if "::" in path and scheme not in ("http", "https"):
        raise InputError(f"{path}: expected one address, found several joined by '::'")
    if "@" in path.split("://", 1)[1].partition("/")[0]:
        raise InputError(
            f"{scheme}://...: credentials must not be part of an address; set the environment variables of {scheme}"
        )
    package, extra = SCHEMES[scheme]
    needed(package, f"reading {scheme}://", extra=extra)
    needed("fsspec", f"reading {scheme}://", extra=extra)


def check_folder_address(path: str, what: str) -> None:
    """The same of the address of a folder, in which the files of ``what`` are: one of the web that has ``?`` or ``#`` leads to a file."""
    check_address(path)
    if path != without_query(path):
        raise InputError(
            f"{without_query(path)}: expected the address of a folder, found one with ? or #, which leads to a file; "
            f"give that of the folder in which the files of {what} are"
        )


def without_query(path: str) -> str:
    """An address of the web without what follows ``?`` or ``#``, which may be a secret; any other path as it is."""
    return re.split(r"[?#]", path, maxsplit=1)[0] if path.lower().startswith(("http://", "https://")) else path


def kind(path: str) -> Literal["file", "folder"]:
    """What is there; raises `OSError` where there is nothing, or it cannot be asked."""
    with as_os_error(path):
        system, inner = _system(path)
        return "folder" if system.info(inner)["type"] == "directory" else "file"


def below(path: str) -> list[str]:
    """The files in a folder and all below it, as paths relative to it with ``/``; raises `OSError`."""
    with as_os_error(path):
        system, inner = _system(path)
        system.invalidate_cache()
        start = inner.rstrip("/") + "/"
        return [str(name).removeprefix(start) for name in system.find(inner)]


_STAMPS = ("size", "ETag", "LastModified", "Last-Modified", "md5Hash", "generation", "blob_id", "created", "mtime")
"""What systems of files call that by which a file is told from what it was."""


def stamps_far(path: str) -> dict[str, str]:
    """What the other side tells of a file, or of each file in a folder and all below it, by its path there: another text where the
    file is another one. Raises `OSError`."""
    with as_os_error(path):
        system, inner = _system(path)
        system.invalidate_cache()
        told = system.info(inner)
        found = system.find(inner, detail=True) if told["type"] == "directory" else {inner: told}
        return {name: repr([one.get(key) for key in _STAMPS]) for name, one in found.items()}


def open_far(path: str, block: int = _BLOCK) -> BinaryIO:
    """The bytes of a file, ``block`` of them at a time, from any place where the other side allows that; raises `OSError`, here or
    while it is read, also where they end before they should."""
    with as_os_error(path):
        system, inner = _system(path)
        return cast(BinaryIO, io.BufferedReader(_Far(path, system.open(inner, "rb", block_size=block)), block))


def look_anew(path: str) -> None:
    """Let what a package remembers of the place of ``path`` be asked again; raises `OSError`."""
    with as_os_error(path):
        _system(path)[0].invalidate_cache()


def size_far(path: str) -> int | None:
    """The bytes of a file, None where there is none, or it does not say; raises `OSError` where it cannot be asked."""
    try:
        with as_os_error(path):
            system, inner = _system(path)
            found = system.info(inner)
    except FileNotFoundError:
        return None
    return found.get("size") if found["type"] == "file" else None


def put_far(file: str | os.PathLike[str], path: str) -> None:
    """A file of this machine, at an address, in the place of what is there; raises `OSError`."""
    with as_os_error(path):
        system, inner = _system(path)
        system.put_file(os.fspath(file), inner)


def write_far(raw: bytes, path: str) -> None:
    """A file of these bytes at an address, in the place of what is there; raises `OSError`."""
    with as_os_error(path):
        system, inner = _system(path)
        system.pipe_file(inner, raw)


def remove_far(path: str) -> None:
    """Delete a file at an address, if there is one; raises `OSError`."""
    with suppress(FileNotFoundError), as_os_error(path):
        system, inner = _system(path)
        system.rm_file(inner)


def _system(path: str) -> tuple[Any, str]:
    check_address(path)
    import fsspec

    scheme, rest = _scheme(path), path.partition("://")[2]
    path = f"{scheme}://{rest}"
    if scheme not in ("http", "https"):
        return cast(tuple[Any, str], fsspec.core.url_to_fs(path))
    from aiohttp import ClientTimeout

    # By itself the client allows five minutes to a file in all, however it comes. What url_to_fs makes of :: is no address.
    limits = ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENT)
    return fsspec.filesystem(scheme, client_kwargs={"timeout": limits, "raise_for_status": _require_file}), path


_WITH_A_FILE = (200, 203, 206)


async def _require_file(answer: Any) -> None:
    """Refuse an answer without a file that fsspec takes for an empty one: a redirect that names no place, something not made yet. What is
    an error by its number fsspec refuses itself."""
    if answer.status < 400 and answer.status not in _WITH_A_FILE:
        from aiohttp import ClientResponseError

        said = f"{answer.reason or 'an answer'}, which holds no file"
        raise ClientResponseError(answer.request_info, answer.history, status=answer.status, message=said)


def _scheme(path: str) -> str:
    match = _FORM.match(path)
    return match[1].lower() if match else ""


@contextmanager
def as_os_error(path: str) -> Iterator[None]:
    """Whatever the block raises, which asks for ``path``, is an error of embedkit or an `OSError`."""
    try:
        yield
    except EmbedkitError:
        raise
    except OSError as error:
        cause = error.__cause__ or error  # where a package tells the path alone
        if isinstance(cause, TimeoutError):
            raise TimeoutError(f"the server was silent for {_SILENT} seconds") from error
        if isinstance(error, FileNotFoundError) and _is_unanswered(cause):
            refused = getattr(cause, "status", None) in (401, 403)
            raise (PermissionError if refused else OSError)(_said(cause)) from error
        if cause is error or error.strerror:
            raise
        raise type(error)(_said(cause)) from error
    except Exception as error:  # packages raise what is no OSError where a server refuses
        raise OSError(_said(error)) from error


def _said(error: BaseException) -> str:
    """What a package says, without what may be a secret in an address."""
    said = _QUERY.sub(r"\1", " ".join(str(error).split()))
    return f"{type(error).__name__}: {said[:300]}"


def _is_unanswered(cause: BaseException) -> bool:
    """Whether a server of the web said something else than that there is no such file, or nothing, which fsspec takes for the same."""
    of_the_web = type(cause).__module__.partition(".")[0] == "aiohttp" or isinstance(cause, TimeoutError)
    return of_the_web and getattr(cause, "status", None) not in (404, 410)


class _Far(io.RawIOBase):
    """A file of fsspec, whose errors are each an `OSError`."""

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file
        self._size: int | None = getattr(file, "size", None)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Whether the other side gives a part of a file."""
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        with as_os_error(self._path):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """The place."""
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; 0 at the end."""
        with as_os_error(self._path):
            piece = self._file.read(len(buffer))
            if not piece and len(buffer) and self._size is not None and self._file.tell() < self._size:
                raise OSError(f"it ends after {self._file.tell():,} of {self._size:,} bytes; read it again")
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close it there too."""
        if not self.closed:
            self._file.close()
        super().close()
