"""From files and folders to rows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace

from embedkit.checks import items_of, one_of, path_of, printed
from embedkit.errors import InputError, OptionError
from embedkit.ingestion.rows.fields import Fields, IdFrom
from embedkit.ingestion.rows.media import MediaFields
from embedkit.ingestion.rows.row import BadRow, Row
from embedkit.system.files.addresses import below, check_address, is_far, kind, without_query
from embedkit.system.files.compression import BROKEN, decompressed, state, uncompressed_name
from embedkit.system.files.encodings import Transcoded, named
from embedkit.system.files.kinds import is_endless, is_special
from embedkit.system.files.words import as_utf_8

from .registry import FORMATS, format_of, is_of
from .source import Source

_LOOKED_AT = 1 << 13


class FileRows:
    """The rows of files and folders, in order; can be iterated again unless one is standard input (``-``).

    A name's suffix tells the format: JSON lines (``.jsonl``, ``.ndjson``, ``.json-lines``), CSV and TSV, Parquet, Arrow
    and Feather, and Excel (``.xlsx``) hold rows; Markdown (``.md``), HTML, PDF, Word (``.docx``), PowerPoint (``.pptx``) and any other
    file are one document each, whose id is the path as given. ``format`` (one of ``jsonl``, ``csv``, ``tsv``, ``parquet``, ``arrow``,
    ``xlsx``, ``markdown``, ``html``, ``pdf``, ``docx``, ``pptx``, ``text``, ``image``, ``audio``) is for all of them alike; standard
    input is ``jsonl`` unless it says otherwise. What is compressed (gzip, bzip2, xz,
    Zstandard) is known by its first bytes.

    Of a folder all files below it are read in the order of their paths, and ids are paths relative to it, with ``/``.
    Hidden files, dead letters and linked folders are not read, nor are pipes, sockets, devices, files that the kernel makes
    (``/proc``, ``/sys``) and files of unknown suffix that are no text; ``skipped`` names these. Pictures are read as ``image``
    alone, sounds as ``audio``, and then nothing else is: each is a document with its caption (``cat.txt`` beside ``cat.jpg``, or
    its id) and its path as ``uri``.

    A row that cannot be read is a `BadRow`, and so is a file that is damaged, gone, or changed while it was read.

    Args:
        paths: files and folders, also by their address (``s3://``, ``gs://``, ``hf://``; files alone at ``https://``), except pictures
            and sounds; ``-`` is standard input.
        id_field: the field that holds a row's id, ``a.b`` for b in the object a; ``id`` by default.
        text_field: the field that holds its text (``text`` by default), several that are joined, or a template such as
            ``{title}: {body}``.
        metadata_fields: the fields that are kept as metadata; by default all but id and text.
        id_from: for rows without an id: ``text`` (a hash), ``path`` (with the line) or ``row`` (the line); None: they are bad.
        types: what the text in a field of metadata stands for: ``int``, ``float``, ``bool``, ``date`` or ``json``, by name.
        format: one of the names above for all inputs; by default their names tell.
        delimiter: what stands between the cells of CSV and TSV, one character; by default a comma, or a tab.
        encoding: that of all texts, by a label of the web or Python's name (``windows-1252``, ``latin-1``, ``utf-16``); by default
            UTF-8, or what a page of HTML says of itself.
        image_field: the field of a table that names a picture's file, below ``root`` or else beside the table: each row is a picture, its
            text the caption, and its id the file's name where it has none.
        root: the folder to which the ``uri`` of a picture is relative, so that it is the same row wherever the ingest is run.
        exif: what is kept of what a camera wrote into a picture: ``time`` (as ``taken``) and ``camera``; nothing by default.

    Raises:
        InputError: at once, naming every file that cannot be read; while reading, where a table lacks a column that was
            named.
        OptionError: options that do not fit.
        MissingExtraError: a format needs a package that is not installed.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        id_field: str = "id",
        text_field: str | Sequence[str] = "text",
        metadata_fields: Sequence[str] | None = None,
        id_from: IdFrom | None = None,
        types: Mapping[str, str] | None = None,
        format: str | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        image_field: str | None = None,
        root: str | os.PathLike[str] | None = None,
        exif: Sequence[str] | None = None,
    ) -> None:
        self.paths = [path_of("paths", path) for path in items_of("paths", paths, "path")]
        media = MediaFields.of(image_field, root, exif)
        self.fields = Fields(id_field, text_field, metadata_fields, id_from, {} if types is None else types, media)
        self.root = media.root
        self.format = format
        self.delimiter = _checked_delimiter(delimiter)
        self.encoding = named(encoding) if encoding else ""
        self.skipped: list[str] = []
        if format is not None:
            one_of("format", format, FORMATS)
            if image_field is not None and FORMATS[format].media:
                raise OptionError(
                    f"image_field: names a field of tables, and the format {format} reads files as they are; leave one out"
                )
        problems = [problem for path in self.paths if (problem := _problem(path))]
        if self.paths.count("-") > 1:
            problems.append("-: standard input can be read once only")
        if "-" in self.paths and format is not None and FORMATS[format].seeks:
            problems.append(f"-: {format} cannot be read from standard input; name a file")
        if format is not None and FORMATS[format].media and any(map(is_far, self.paths)):
            raise OptionError(f"format: {format} is read from files of this machine; copy them here")
        if problems:
            raise InputError("cannot read " + "; ".join(problems))
        if id_from == "row" and (len(self.paths) > 1 or any(map(_is_folder, self.paths))):
            raise InputError("id_from: 'row' would give rows of several files the same ids; use 'path' or 'text'")

    def __iter__(self) -> Iterator[Row]:
        for found in self.sources():
            if isinstance(found, BadRow):
                yield found
            else:
                yield from read(found, self.fields)

    def sources(self) -> Iterator[Source | BadRow]:
        """The files, in order, each to be `read` with ``fields``; a folder that cannot be listed is a bad row."""
        self.skipped.clear()
        for path in self.paths:
            if _is_folder(path):
                yield from self._folder(path)
                continue
            form = self.format or ("jsonl" if path == "-" else format_of(path))
            source = Source(path, as_utf_8(without_query(path)), form or "text", self.delimiter, self.encoding)
            if not form and not is_far(path) and not is_special(path) and b"\0" in (_head(path, self.encoding) or b""):
                reason = "it is no text, and its name tells no format"
                yield source.bad(f"{reason}; give --format if it has one, or --encoding if it is in UTF-16")
            else:
                yield source

    def media(self, form: str) -> FileRows:
        """The same as files of a format of media (``image``, ``audio``), where neither a format nor a field of files was given and all
        of them are folders or of that format by their names; else as it is."""
        if (
            self.format is not None
            or self.fields.media.image is not None
            or not all(not is_far(path) and (os.path.isdir(path) or is_of(path, form)) for path in self.paths)
        ):
            return self
        found = copy(self)
        found.format, found.skipped = form, []
        return found

    def textless(self) -> FileRows:
        """The same, of which rows may lack a text; both have one list of what was ``skipped``."""
        found = copy(self)
        found.fields = replace(self.fields, textless=True)
        return found

    def __length_hint__(self) -> int:
        """The number of rows, at most: lines are counted, blank ones too. 0 where it is not known without reading."""
        total = 0
        for path in self.paths:
            form = self.format or format_of(path) or "text"
            if not os.path.isfile(path) or uncompressed_name(path) != path:
                return 0
            count = FORMATS[form].count(path)
            if not count and os.path.getsize(path):
                return 0
            total += count
        return total

    def _folder(self, path: str) -> Iterator[Source | BadRow]:
        folder = Folder(path)
        for relative in folder:
            place = f"{path.rstrip('/')}/{relative}" if is_far(path) else os.path.join(path, relative)
            if not is_far(path) and is_special(place):
                self.skipped.append(place)
                continue
            form = self.format or format_of(relative)
            if form and FORMATS[form].media and not is_of(relative, form):
                self.skipped.append(place)
                continue
            if form or _is_text(place, self.encoding):
                yield Source(place, as_utf_8(relative), form or "text", self.delimiter, self.encoding)
            else:
                self.skipped.append(place)
        for place, reason in folder.failed:
            yield BadRow(place, 1, f"the folder cannot be listed: {reason}", place)


def read(source: Source, fields: Fields) -> Iterator[Row]:
    """The rows of one file; a last one that is bad where the file is damaged or was changed meanwhile."""
    before = state(source.path) if source.path != "-" else None
    line = 0
    try:
        with decompressed(source.path) as file:
            if FORMATS[source.format].seeks and not (file.seekable() and _is_plain(source.path)):
                far = is_far(source.path) and _is_plain(source.path)
                why = (
                    "a server that gives no part of a file; copy it here" if far else "a compressed file; decompress it"
                )
                raise OSError(f"{source.format} cannot be read from {why}")
            if source.encoding and not FORMATS[source.format].binary:
                file = io.BufferedReader(Transcoded(file, source.encoding))
            for row in FORMATS[source.format].read(file, source, fields):
                line = row.line
                yield row
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or str(error)
        if line:
            yield source.bad(
                f"reading failed after line {line:,}, and the rows before it were read: {reason}", line + 1
            )
        else:
            yield source.bad(f"cannot be read: {reason}")
        return
    if before is not None and state(source.path) != before:
        yield source.bad("the file changed while it was read: run again", line + 1)


def _is_folder(path: str) -> bool:
    if not is_far(path):
        return os.path.isdir(path)
    with suppress(OSError):  # told when it is read
        return kind(path) == "folder"
    return False


def _is_plain(path: str) -> bool:
    return uncompressed_name(path) == path


def _checked_delimiter(delimiter: str | None) -> str:
    if not delimiter:
        return ""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise OptionError(f"delimiter: expected one character, such as ';', found {printed(delimiter):.60}")
    return delimiter


def _is_text(path: str, encoding: str = "") -> bool:
    """Whether a file that begins like this is read as text; one that cannot be read is, so that it is reported."""
    head = _head(path, encoding)
    if head is None:
        return True
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and b"\0" not in head
    return b"\0" not in head


def _head(path: str, encoding: str) -> bytes | None:
    """How a file begins, in UTF-8 where an encoding is given; None where it cannot be read."""
    try:
        with decompressed(path) as file:
            head = file.read(_LOOKED_AT)
            return Transcoded(io.BytesIO(head), encoding).read(2 * _LOOKED_AT) or b"" if encoding else head
    except BROKEN:
        return None


def _problem(path: str) -> str:
    if path == "-":
        return ""
    try:
        if is_far(path):
            check_address(path)
            kind(path)
        elif os.path.isdir(path):
            os.scandir(path).close()
        elif is_endless(path):
            return f"{path}: it is a socket, a device or a file of the kernel's"
        elif os.path.isfile(path):
            open(path, "rb").close()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
        return reason if reason.startswith(f"{path}: ") else f"{without_query(path)}: {reason}"
    return ""


@dataclass(slots=True)
class Folder:
    """The files in a folder and all below it, as paths relative to it with ``/``, sorted.

    Hidden files and folders, linked folders and dead letters are not among them. ``failed`` names the folders that
    cannot be listed, with the reason.
    """

    path: str
    failed: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        self.failed.clear()
        if is_far(self.path):
            return iter(sorted(filter(_is_read, self._far()), key=lambda path: path.split("/")))
        found = []
        for parent, folders, files in os.walk(self.path, onerror=self._note):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = os.path.relpath(parent, self.path)
            found += [
                os.path.normpath(os.path.join(place, name)).replace(os.sep, "/")
                for name in files
                if not name.startswith(".") and not name.endswith(".dead.jsonl")
            ]
        return iter(sorted(found, key=lambda path: path.split("/")))

    def _far(self) -> list[str]:
        try:
            return below(self.path)
        except OSError as error:
            self.failed.append((self.path, str(error)))
            return []

    def _note(self, error: OSError) -> None:
        self.failed.append((str(error.filename), error.strerror or str(error)))


def _is_read(relative: str) -> bool:
    return not relative.endswith(".dead.jsonl") and not any(part.startswith(".") for part in relative.split("/"))
