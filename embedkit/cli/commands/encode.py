"""``embedkit encode``: texts to vectors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import Loading, bundle_argument, loading_options
from embedkit.cli.text_io import input_lines, print_json
from embedkit.errors import DiskError

if TYPE_CHECKING:
    from embedkit.bundle.manifest import Output
    from embedkit.encoders.base import BaseEncoder
    from embedkit.vectors.quantization import Ranges


@app.command(
    short_help="Texts to vectors: JSON, one text a line, or a .npy or .npz file.",
    epilog="\b\nExamples:\n"
    "  embedkit encode bundle 'a first text' 'a second text'\n"
    "  embedkit encode bundle --input texts.txt --output vectors.npy --role document\n"
    "  cut -f2 table.tsv | embedkit encode bundle --input - --output vectors.npy\n"
    "  embedkit encode bundle --input texts.txt --output bits.npy --precision ubinary\n"
    "  embedkit encode bundle --input texts.txt --output-name sparse --output sparse.npz",
)
@bundle_argument
@argument("texts", nargs=-1, metavar="[TEXT]...", help="The texts.")
@click.option("--input", metavar="FILE", help="UTF-8 text, one a line; - is standard input.")
@click.option(
    "--output",
    metavar="FILE",
    help="Write here: a .npy file is a (texts, dim) array; sparse vectors, and several vectors a text, need a .npz file, which "
    "embedkit.SparseVectors.load or embedkit.MultiVectors.load reads.",
)
@click.option(
    "--output-name",
    metavar="NAME",
    help="Which of the bundle's outputs, as embedkit inspect shows them; by default the first.",
)
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
    output_name: str | None,
    role: str,
    dim: int | None,
    precision: str,
    ranges: str | None,
    loading: Loading,
) -> None:
    """Turn texts into vectors: JSON, one text a line, or a .npy or .npz file."""
    if bool(texts) == bool(input):
        raise click.BadParameter("give either texts or --input FILE")
    if output and not output.endswith((".npy", ".npz")):
        raise click.BadParameter(f"expected a name that ends in .npy or .npz, found {output!r}", param_hint="--output")
    from embedkit.vectors.quantization import Precision, check_precision, empty, needs_ranges

    check_precision(precision)
    kind = cast(Precision, precision)
    if needs_ranges(kind) and not ranges:
        raise click.BadParameter(
            f"{precision} needs the ranges of typical vectors: embedkit.fit_ranges(vectors).save('ranges.json') in Python, once",
            param_hint="--ranges",
        )
    encoder = loading.load(bundle)
    about = _chosen(encoder, role, output_name)
    _check_file(output, about, output_name)
    given = input_lines(input) if input else texts
    known = _ranges(ranges) if ranges else None
    windows = encoder.stream(given, role=role, dim=dim, precision=kind, ranges=known, output=output_name)
    if output:
        _write(output, windows, about, empty(dim or about.size, kind))
        print(encoder.why, file=sys.stderr)
    else:
        for window in windows:
            for row in window:
                print_json(_json(row))
    if encoder.stats.truncated:
        print(
            f"{encoder.stats.truncated:,} of {encoder.stats.texts:,} texts were longer than the {encoder.max_tokens} "
            "tokens that the model reads and were cut: split them into chunks",
            file=sys.stderr,
        )


def _chosen(encoder: BaseEncoder, role: str, name: str | None) -> Output:
    outputs = encoder.outputs(role)
    if name is not None and name not in outputs:
        raise click.BadParameter(f"this bundle has {', '.join(outputs)}, found {name!r}", param_hint="--output-name")
    return outputs[name or next(iter(outputs))]


def _check_file(path: str | None, output: Output, name: str | None) -> None:
    """`click.BadParameter` for a file that cannot hold this kind."""
    wanted = ".npy" if output.kind in ("dense", "logits") else ".npz"
    if path and not path.endswith(wanted):
        raise click.BadParameter(
            f"{'the output ' + name if name else 'the first output'} is {output.kind}, which a {wanted} file holds; found {path!r}",
            param_hint="--output",
        )


def _write(path: str, windows: Iterator[Any], output: Output, none: Any) -> None:
    from embedkit.runtime.outputs import empty_values
    from embedkit.vectors.npy import write_npy
    from embedkit.vectors.values import concatenate

    if output.kind in ("dense", "logits"):
        rows = write_npy(path, windows, dim=none.shape[1], dtype=none.dtype)
        what = f"{'vectors' if output.kind == 'dense' else 'rows'} of {none.shape[1]} numbers"
    else:
        whole: Any = concatenate(list(windows) or [empty_values(output)])
        whole.save(path)
        rows, what = (
            len(whole),
            f"texts with {len(whole.values):,} {'weights' if output.kind == 'sparse' else 'vectors'}",
        )
    print(f"{rows:,} {what}: {path}", file=sys.stderr)


def _json(row: Any) -> str:
    """A row as JSON: of sparse vectors an object, of several vectors an array of arrays. Nine significant digits give back
    the same float32."""
    if isinstance(row, tuple):
        return f'{{"indices": {row[0].tolist()}, "values": {_json(row[1])}}}'
    if row.ndim == 2:
        return "[" + ", ".join(map(_json, row)) + "]"
    return "[" + ", ".join(f"{number:.9g}" for number in row) + "]"


def _ranges(path: str) -> Ranges:
    from embedkit.vectors.quantization import Ranges

    try:
        return Ranges.load(path)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}", error) from None
