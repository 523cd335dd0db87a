"""What commands read and print: lines of text, text that cannot steer a terminal, and JSON."""

from __future__ import annotations

import codecs
import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import click

from embedkit.errors import DiskError, InputError

if TYPE_CHECKING:
    from embedkit.records.documents import Hit, Match

_MATCHES = 12
"""What matched of a hit that is shown to people, the largest first."""
_LONE = re.compile("[\ud800-\udfff]+")
_NOT_ASCII = re.compile("[^\0-\x7f]+")


def one_line(text: str, width: int) -> str:
    """``text`` on one line of at most ``width`` characters, without characters that could steer a terminal."""
    line = " ".join(text.split())
    line = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in line)
    return line if len(line) <= width else line[: width - 3] + "..."


def first_few(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(one_line(name, 80) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def print_hits(hits: Sequence[Hit], first: int) -> None:
    """Hits for people, the best of which has the number ``first``; the text on a line of its own where the id is not all of it, as it
    is of a picture without a caption."""
    for rank, hit in enumerate(hits, start=first):
        print(f"{rank:3}. {hit.score:7.4f}  {one_line(hit.id, 80)}")
        if hit.text != hit.id:
            print(f"     {one_line(hit.text, 160)}")
        for name, matches in hit.matches.items():
            told = [_told(match) for match in matches[:_MATCHES]]
            print(f"     {name}: {', '.join(told)}{', ...' if len(matches) > _MATCHES else ''}")


def _told(match: Match) -> str:
    """What met what, and at what score."""
    both = match.query if match.query == match.found else f"{match.query} ~ {match.found}"
    return f"{one_line(both, 60)} {match.score:.3g}"


def hits_as_objects(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Hits as the objects of an answer in JSON."""
    from embedkit.records.metadata import dump_metadata

    return [
        {
            "id": hit.id,
            "score": hit.score,
            "text": hit.text,
            "metadata": json.loads(dump_metadata(hit.metadata)),
            **({"parts": dict(hit.parts)} if hit.parts else {}),
            **({"matches": _matches_as_objects(hit)} if hit.matches else {}),
        }
        for hit in hits
    ]


def _matches_as_objects(hit: Hit) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(match) for match in matches] for name, matches in hit.matches.items()}


def as_json(value: object) -> str:
    """JSON for people and machines."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def print_json(text: str) -> None:
    """JSON, dumped already, and a line's end on standard output: in UTF-8 where that is the stream's encoding, else in ASCII with
    JSON's own escapes, whatever the terminal is. A lone surrogate is an escape too."""
    stream = sys.stdout
    utf_8 = codecs.lookup(stream.encoding or "ascii").name == "utf-8"
    text = (_LONE if utf_8 else _NOT_ASCII).sub(_escaped, text)
    if hasattr(stream, "buffer"):
        stream.flush()
        stream.buffer.write((text + "\n").encode("utf-8"))
        stream.buffer.flush()
    else:  # a stream of text in memory
        stream.write(text + "\n")


def print_json_line(value: dict[str, Any]) -> None:
    """An object as a line of JSON on standard output."""
    print_json(json.dumps(value, ensure_ascii=False))


class Report(Protocol):
    """What a command did, in words by ``str``."""

    def to_json(self) -> str:
        """The same as JSON."""


def print_report(report: Report, as_json: bool, quiet: bool = False) -> None:
    """A report as JSON, or else in words unless these are not wanted."""
    if as_json:
        print_json(report.to_json())
    elif not quiet:
        print(report, flush=True)


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def given_texts(texts: Sequence[str], input: str | None) -> list[str]:
    """The texts of a command line, or the lines of the file ``input``: one of the two is to be given."""
    if bool(texts) == bool(input):
        raise click.BadParameter("give either texts or --input FILE")
    return list(input_lines(input)) if input else list(texts)


def input_lines(path: str) -> Iterator[str]:
    """The lines of a file of UTF-8 text, or of standard input (``-``), without their ends."""
    source = "standard input" if path == "-" else path
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                yield line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").rstrip(b"\r\n").decode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{source!a}: this system has no file of such a name; give another") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source}, line {number}: not valid UTF-8 ({error.reason}); convert it, for example with iconv"
        ) from None
    except OSError as error:
        raise DiskError(f"{source}: {error.strerror}", error) from None
