"""``embedkit encode``: texts to vectors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import click

from ..errors import InputError
from . import app
from .interface import argument
from .options import Loading, bundle_argument, loading_options

if TYPE_CHECKING:
    from ..precision import Ranges


@app.command(
    short_help="Texts to vectors: one JSON array a line, or a .npy file.",
    epilog="\b\nExamples:\n"
    "  embedkit encode bundle 'a first text' 'a second text'\n"
    "  embedkit encode bundle --input texts.txt --output vectors.npy --role document\n"
    "  cut -f2 table.tsv | embedkit encode bundle --input - --output vectors.npy\n"
    "  embedkit encode bundle --input texts.txt --output bits.npy --precision ubinary",
)
@bundle_argument
@argument("texts", nargs=-1, metavar="[TEXT]...", help="The texts.")
@click.option("--input", metavar="FILE", help="UTF-8 text, one a line; - is standard input.")
@click.option("--output", metavar="FILE.npy", help="Write a (texts, dim) array here.")
@click.option("--role", default="default", help="default, query or document: the template put around each text.")
@click.option("--dim", type=click.IntRange(min=1), help="Keep only so many numbers of each vector.")
@click.option(
    "--precision",
    default="float32",
    help="Of the vectors that are written: float32, float16 (half the bytes), int8 or uint8 (a quarter; they need --ranges), "
    "binary or ubinary (a bit a number, eight to a byte).",
)
@click.option(
    "--ranges",
    metavar="FILE",
    help="The ranges that int8 and uint8 are rounded in, as embedkit.fit_ranges(vectors).save('ranges.json') writes them.",
)
@loading_options
def encode(
    bundle: str,
    texts: tuple[str, ...],
    input: str | None,
    output: str | None,
    role: str,
    dim: int | None,
    precision: str,
    ranges: str | None,
    loading: Loading,
) -> None:
    """Turn texts into vectors: one JSON array a line, or a .npy file."""
    if bool(texts) == bool(input):
        raise click.BadParameter("give either texts or --input FILE")
    if output and not output.endswith(".npy"):
        raise click.BadParameter(f"expected a name that ends in .npy, found {output!r}", param_hint="--output")
    from ..precision import Precision, check_precision, empty, needs_ranges

    check_precision(precision)
    kind = cast(Precision, precision)
    if needs_ranges(kind) and not ranges:
        raise click.BadParameter(
            f"{precision} needs the ranges of typical vectors: embedkit.fit_ranges(vectors).save('ranges.json') in Python, once",
            param_hint="--ranges",
        )
    encoder = loading.load(bundle)
    windows = encoder.stream(
        lines(input) if input else texts, role=role, dim=dim, precision=kind, ranges=_ranges(ranges) if ranges else None
    )
    if output:
        from ..npyfile import write_npy

        none = empty(dim or encoder.dim, kind)
        rows = write_npy(output, windows, dim=none.shape[1], dtype=none.dtype)
        print(f"{rows:,} vectors of {dim or encoder.dim} numbers: {output}", file=sys.stderr)
        print(encoder.why, file=sys.stderr)
    else:
        for vectors in windows:
            for vector in vectors:
                # Nine significant digits give back the same float32.
                sys.stdout.write("[" + ", ".join(f"{number:.9g}" for number in vector) + "]\n")
            sys.stdout.flush()
    if encoder.stats.truncated:
        print(
            f"{encoder.stats.truncated:,} of {encoder.stats.texts:,} texts were longer than the {encoder.max_tokens} "
            "tokens that the model reads and were cut: split them into chunks",
            file=sys.stderr,
        )


def _ranges(path: str) -> Ranges:
    from ..precision import Ranges

    try:
        return Ranges.load(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def lines(path: str) -> Iterator[str]:
    """The lines of a file of UTF-8 text, or of standard input (``-``), without their ends."""
    source = "standard input" if path == "-" else path
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                yield line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source}, line {number}: not valid UTF-8 ({error.reason}); convert it, for example with iconv"
        ) from None
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from None
