"""The command ``embedkit``. What a command needs is imported when it runs, so that ``embedkit --help`` is quick."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Optional, cast

import typer

from . import __version__
from .errors import EmbedkitError, IngestError, InputError, MissingExtraError

if TYPE_CHECKING:
    from .encoder import Encoder
    from .filters import Filter
    from .ingestion import Chunking, IngestReport
    from .ingestion.chunking import By
    from .precision import Ranges
    from .records import Hit

app = typer.Typer(
    name="embedkit",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Encode text with an ONNX bundle, put the vectors into a vector store, and search there; without torch.",
    epilog="\b\nFrom a model to an answer:\n"
    "  embedkit-export MODEL --output bundle\n"
    "  embedkit ingest bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit search bundle 'how do I reset my password' --store chroma:index --collection docs\n"
    "\n\b\nA store is an address: chroma:FOLDER, chroma://HOST:8000, qdrant:FOLDER, pgvector://HOST:5432/DATABASE, ...\n"
    "`embedkit stores` lists those installed. With EMBEDKIT_DEBUG=1 an error shows where it came from.",
)

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="A folder that embedkit-export made.")]
StoreOption = Annotated[str, typer.Option("--store", metavar="URL", help="The store's address, such as chroma:index.")]
CollectionOption = Annotated[str, typer.Option("--collection", metavar="NAME", help="The collection in the store.")]
VariantOption = Annotated[str, typer.Option(help="auto, or a variant of the bundle such as fp32 or int8.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, or cuda:N,M for several.")]
EngineOption = Annotated[
    str,
    typer.Option(
        help="What computes: auto, onnxruntime or openvino. auto takes openvino where it is installed, was measured here to be "
        "faster and keeps what the bundle promises. openvino:f32, :bf16 and :int8 name its precision, with nothing proved.",
    ),
]
ThreadsOption = Annotated[Optional[int], typer.Option(min=1, help="CPU threads; by default all that may be used.")]  # noqa: UP045
IdFieldOption = Annotated[
    str, typer.Option(metavar="FIELD", help="The field that holds a row's id; a.b is b in the object a.")
]
TextFieldOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        metavar="FIELD",
        help="The field that holds a row's text (by default text); several are joined, or a template: '{title}\\n\\n{body}'.",
    ),
]
MetadataFieldsOption = Annotated[
    str, typer.Option(metavar="A,B", help="The fields to keep as metadata; by default all but id and text.")
]
IdFromOption = Annotated[
    str,
    typer.Option(
        help="For rows without an id, make one: of the text (a hash), the path with the line, or the row (its line)."
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        help="jsonl, csv, tsv, parquet, arrow, markdown, html or text, for all inputs; by default their names tell."
    ),
]
ChunkOption = Annotated[
    str,
    typer.Option(
        metavar="TOKENS", help="Cut documents into chunks of at most so many tokens; auto: as many as the model reads."
    ),
]
OverlapOption = Annotated[
    int, typer.Option(min=0, metavar="TOKENS", help="How much a chunk repeats of the one before.")
]
ChunkByOption = Annotated[
    str, typer.Option(help="Where a chunk may end: tokens, sentences (and paragraphs), or headings (Markdown) as well.")
]
FailOption = Annotated[bool, typer.Option("--fail-on-dead", help="Exit with 1 if there was a bad row.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary in words.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command(
    short_help="Texts to vectors: one JSON array a line, or a .npy file.",
    epilog="\b\nExamples:\n"
    "  embedkit encode bundle 'a first text' 'a second text'\n"
    "  embedkit encode bundle --input texts.txt --output vectors.npy --role document\n"
    "  cut -f2 table.tsv | embedkit encode bundle --input - --output vectors.npy\n"
    "  embedkit encode bundle --input texts.txt --output bits.npy --precision ubinary",
)
def encode(
    bundle: BundleArgument,
    texts: Annotated[Optional[list[str]], typer.Argument(metavar="TEXT", help="The texts.")] = None,  # noqa: UP045
    input: Annotated[str, typer.Option(metavar="FILE", help="UTF-8 text, one a line; - is standard input.")] = "",
    output: Annotated[str, typer.Option(metavar="FILE.npy", help="Write a (texts, dim) array here.")] = "",
    role: Annotated[
        str, typer.Option(help="default, query or document: the template put around each text.")
    ] = "default",
    dim: Annotated[Optional[int], typer.Option(min=1, help="Keep only so many numbers of each vector.")] = None,  # noqa: UP045
    precision: Annotated[
        str,
        typer.Option(
            help="Of the vectors that are written: float32, float16 (half the bytes), int8 or uint8 (a quarter; they need --ranges), "
            "binary or ubinary (a bit a number, eight to a byte)."
        ),
    ] = "float32",
    ranges: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="The ranges that int8 and uint8 are rounded in, as embedkit.fit_ranges(vectors).save('ranges.json') writes them.",
        ),
    ] = "",
    variant: VariantOption = "auto",
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Turn texts into vectors: one JSON array a line, or a .npy file."""
    if bool(texts) == bool(input):
        raise typer.BadParameter("give either texts or --input FILE")
    if output and not output.endswith(".npy"):
        raise typer.BadParameter(f"expected a name that ends in .npy, found {output!r}", param_hint="--output")
    from .precision import Precision, check_precision, empty, needs_ranges

    check_precision(precision)
    kind = cast(Precision, precision)
    if needs_ranges(kind) and not ranges:
        raise typer.BadParameter(
            f"{precision} needs the ranges of typical vectors: embedkit.fit_ranges(vectors).save('ranges.json') in Python, once",
            param_hint="--ranges",
        )
    encoder = _load(bundle, variant, device, engine, threads)
    windows = encoder.stream(
        texts or _lines(input), role=role, dim=dim, precision=kind, ranges=_ranges(ranges) if ranges else None
    )
    if output:
        from .npyfile import write_npy

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


@app.command(
    short_help="Documents into a collection of a vector store.",
    epilog="\b\nExamples:\n"
    "  embedkit ingest bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit ingest bundle notes/*.md --store qdrant://localhost:6333 --collection notes\n"
    "  embedkit ingest bundle manual/ table.csv rows.parquet big.jsonl.gz --store chroma:index --collection all\n"
    "  embedkit ingest bundle manual/ --chunk 256 --overlap 32 --store chroma:index --collection manual\n"
    "  psql -c 'copy t to stdout csv header' | embedkit ingest bundle - --format csv --id-field key --text-field '{a}: {b}' ...\n"
    "\n\b\nA run that was cut is simply run again: what the store has is neither encoded nor written.\n"
    "Bad rows go to docs.dead.jsonl:  embedkit retry  tries them again, repaired there or not.",
)
def ingest(
    bundle: BundleArgument,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="JSON lines, CSV, TSV, Parquet or Arrow; Markdown, HTML or text, one document each; folders; - is standard input. "
            "May be compressed.",
        ),
    ],
    store: StoreOption,
    collection: CollectionOption,
    id_field: IdFieldOption = "id",
    text_field: TextFieldOption = None,
    metadata_fields: MetadataFieldsOption = "",
    id_from: IdFromOption = "",
    format: FormatOption = "",
    chunk: ChunkOption = "",
    overlap: OverlapOption = 0,
    chunk_by: ChunkByOption = "sentences",
    variant: VariantOption = "auto",
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    threads: ThreadsOption = None,
    dead_letters: Annotated[
        str, typer.Option(metavar="PATH", help="Where bad rows go; by default COLLECTION.dead.jsonl here.")
    ] = "",
    fail_on_dead: FailOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put documents into a collection; what is there unchanged is skipped, bad rows go to a file of their own."""
    from .ingestion import FileRows, chunked
    from .ingestion import ingest as run

    chunking = _chunking(chunk, overlap, chunk_by)

    rows = FileRows(files, **_fields(id_field, text_field, metadata_fields, id_from), format=format or None)

    def action() -> IngestReport:
        encoder = _load(bundle, variant, device, engine, threads)
        return run(
            chunked(rows, encoder, chunking) if chunking else rows,
            encoder,
            store,
            collection=collection,
            dead_letters=dead_letters or None,
            progress=False if quiet else None,
        )

    report = _reported(action, as_json, quiet)
    if rows.skipped and not quiet:
        print(f"not read, since they are no text ({len(rows.skipped):,}): {_listed(rows.skipped)}", file=sys.stderr)
    if report.dead and fail_on_dead:
        raise typer.Exit(1)


@app.command(
    short_help="The rows of a dead-letter file, once more.",
    epilog="\b\nExamples:\n"
    "  embedkit retry bundle docs.dead.jsonl --store chroma:index --collection docs\n"
    '\n\b\nAfterwards the file holds the rows that fail still, or is gone. To repair one, edit its "document", or its\n'
    '"row" where that is null. A file that could not be read is read again.',
)
def retry(
    bundle: BundleArgument,
    letters: Annotated[str, typer.Argument(metavar="FILE", help="A dead-letter file that an ingest wrote.")],
    store: StoreOption,
    collection: CollectionOption,
    id_field: IdFieldOption = "id",
    text_field: TextFieldOption = None,
    metadata_fields: MetadataFieldsOption = "",
    id_from: IdFromOption = "",
    chunk: ChunkOption = "",
    overlap: OverlapOption = 0,
    chunk_by: ChunkByOption = "sentences",
    variant: VariantOption = "auto",
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    threads: ThreadsOption = None,
    fail_on_dead: FailOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Try the rows of a dead-letter file again; it then holds those that fail still."""
    from .ingestion import Fields
    from .ingestion import retry as run

    chunking = _chunking(chunk, overlap, chunk_by)
    names = _fields(id_field, text_field, metadata_fields, id_from)
    fields = Fields(names["id_field"], names["text_field"], names["metadata_fields"], names["id_from"])

    def action() -> IngestReport:
        return run(
            letters,
            _load(bundle, variant, device, engine, threads),
            store,
            collection=collection,
            fields=fields,
            chunking=chunking,
            progress=False if quiet else None,
        )

    if _reported(action, as_json, quiet).dead and fail_on_dead:
        raise typer.Exit(1)


@app.command(
    short_help="The documents nearest to a query.",
    epilog="\b\nExamples:\n"
    "  embedkit search bundle 'tea from the mountains' --store chroma:index --collection docs -k 5\n"
    "  embedkit search bundle tea --store chroma:index --collection docs --filter 'year>=2020' --filter lang==en\n"
    "\n\b\nA filter is FIELD OP VALUE with one of == != < <= > >= in 'not in'; several must all hold.\n"
    'VALUE is JSON, or plain text:  \'lang in ["en", "de"]\'',
)
def search(
    bundle: BundleArgument,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    store: StoreOption,
    collection: CollectionOption,
    k: Annotated[int, typer.Option("-k", min=1, help="The most hits.")] = 10,
    filter: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="EXPRESSION", help="Only documents whose metadata satisfies it; can be repeated."),
    ] = None,
    variant: VariantOption = "auto",
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find the documents nearest to a query; a higher score is nearer."""
    from .searching import search as run

    condition = _filter(filter or [])
    encoder = _load(bundle, variant, device, engine, None)
    hits = run(query, encoder, store, collection=collection, k=k, filter=condition)
    if as_json:
        print(_hits_json(query, hits))
        return
    for rank, hit in enumerate(hits, start=1):
        print(f"{rank:3}. {hit.score:7.4f}  {shown(hit.id, 80)}\n     {shown(hit.text, 160)}")
    if not hits:
        print("no document satisfies the filter" if filter else "the collection is empty", file=sys.stderr)


@app.command(
    short_help="What a bundle is: roles, variants, measured quality.",
    epilog="\b\nExamples:\n  embedkit inspect bundle\n  embedkit inspect bundle --engine auto    also which engine computes here, and why",
)
def inspect(
    bundle: BundleArgument,
    engine: Annotated[
        str,
        typer.Option(
            help="Load the bundle too with this engine (auto, onnxruntime, openvino, ...): which computes here, and why."
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what a bundle is: roles, templates, dimensions, variants with their measured quality, fingerprint."""
    from .bundle import Bundle
    from .inspection import describe, summary

    opened = Bundle.open(bundle)
    encoder = _load(bundle, "auto", "auto", engine, None) if engine else None
    if as_json:
        loaded = (
            {name: getattr(encoder, name) for name in ("engine", "why", "variant", "device", "threads")}
            if encoder
            else None
        )
        print(_dump(summary(opened) | ({"loaded": loaded} if loaded else {})))
        return
    print(describe(opened))
    if encoder:
        print(f"engine       {encoder.engine}, variant {encoder.variant}, device {encoder.device}: {encoder.why}")


@app.command(short_help="Check a bundle's files and vectors on this machine.")
def verify(
    bundle: BundleArgument,
    variant: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Check this variant only; can be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Check that a bundle is unchanged and that this machine computes the vectors that its exporter did."""
    from .verification import verify as run

    report = run(bundle, variants=variant or None, device=device)
    print(report.to_json() if as_json else report)
    if not report.passed:
        raise typer.Exit(1)


@app.command(short_help="The stores that are installed.")
def stores(as_json: JsonOption = False) -> None:
    """List the stores whose plugins are installed, and whether the package of each database is there."""
    from .registry import store_plugins
    from .store import StoreURL

    found = {}
    for scheme, entry in store_plugins().items():
        problem = ""
        try:
            entry.load()(StoreURL.parse(f"{scheme}://:memory:")).close()
        except MissingExtraError as error:
            problem = str(error)
        except EmbedkitError:
            pass  # this store has no memory to open; its package is there
        except Exception as error:
            problem = f"the plugin {entry.value} is broken: {type(error).__name__}: {error}"
        found[scheme] = problem
    if as_json:
        print(_dump({scheme: {"ready": not problem, "problem": problem} for scheme, problem in found.items()}))
        return
    for scheme, problem in found.items():
        print(f"{scheme:12} {problem or 'ready'}")
    if not found:
        print("no store plugin is installed: run  pip install 'embedkit-onnx[chroma]'", file=sys.stderr)


@app.command(short_help="A real model, real documents, a few questions.")
def demo(
    folder: Annotated[str, typer.Option(metavar="FOLDER", help="Where the bundle and the index are kept.")] = ".demo",
) -> None:
    """Export all-MiniLM-L6-v2, index the docstrings of Python's standard library, and ask them a few questions."""
    from .demo import run

    run(folder)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"embedkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def shown(text: str, width: int) -> str:
    """``text`` on one line of at most ``width`` characters, without characters that could steer a terminal."""
    line = " ".join(text.split())
    line = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in line)
    return line if len(line) <= width else line[: width - 3] + "..."


def _load(bundle: str, variant: str, device: str, engine: str, threads: int | None) -> Encoder:
    from .encoder import Encoder

    return Encoder.load(bundle, variant=variant, device=device, engine=engine, threads=threads, on_truncate="ignore")


def _reported(action: Callable[[], IngestReport], as_json: bool, quiet: bool) -> IngestReport:
    """What an ingest did, printed, also where it was stopped or failed."""
    from .ingestion import IngestInterrupted

    def show(report: IngestReport) -> None:
        if as_json:
            print(report.to_json(), flush=True)
        elif not quiet:
            print(report, flush=True)

    try:
        report = action()
    except IngestInterrupted as stopped:
        show(stopped.report)
        print(f"\n{stopped}", file=sys.stderr)
        raise typer.Exit(130) from None
    except IngestError as error:
        show(error.report)
        raise
    show(report)
    return report


def _fields(id_field: str, text_field: list[str] | None, metadata_fields: str, id_from: str) -> dict[str, Any]:
    """The options of `embedkit.ingestion.FileRows`; a shell leaves ``\\n`` and ``\\t`` in a template as they are typed."""
    texts = [name.replace("\\n", "\n").replace("\\t", "\t") for name in text_field or ["text"]]
    return {
        "id_field": id_field,
        "text_field": texts[0] if len(texts) == 1 else texts,
        "metadata_fields": [name.strip() for name in metadata_fields.split(",")] if metadata_fields else None,
        "id_from": id_from or None,
    }


def _chunking(chunk: str, overlap: int, by: str) -> Chunking | None:
    from .ingestion import Chunking

    if not chunk:
        if overlap or by != "sentences":
            raise typer.BadParameter("give --chunk TOKENS (or --chunk auto) with --overlap and --chunk-by")
        return None
    if chunk != "auto" and not chunk.isdecimal():
        raise typer.BadParameter(f"expected a number of tokens or auto, found {chunk!r}", param_hint="--chunk")
    return Chunking(None if chunk == "auto" else int(chunk), overlap, cast("By", by))


def _listed(names: list[str]) -> str:
    return ", ".join(shown(name, 80) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _ranges(path: str) -> Ranges:
    from .precision import Ranges

    try:
        return Ranges.load(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _lines(path: str) -> Iterator[str]:
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


def _filter(expressions: list[str]) -> Filter | None:
    from .filters import parse_filter

    whole: Filter | None = None
    for text in expressions:
        whole = parse_filter(text) if whole is None else whole & parse_filter(text)
    return whole


def _hits_json(query: str, hits: list[Hit]) -> str:
    from .records import dump_metadata

    listed = [
        {"id": hit.id, "score": hit.score, "text": hit.text, "metadata": json.loads(dump_metadata(hit.metadata))}
        for hit in hits
    ]
    return _dump({"query": query, "hits": listed})


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def main() -> None:
    """Run the command. An `EmbedkitError` is one line on stderr and exit code 1; wrong usage gives 2, Ctrl-C 130."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="embedkit")
    except EmbedkitError as error:
        if os.environ.get("EMBEDKIT_DEBUG"):
            raise
        print("error: " + str(error).replace("\n", " "), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
