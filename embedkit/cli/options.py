"""What several commands take, and how it is said on a command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import click

from .click_ext import argument, grouped, option_field

if TYPE_CHECKING:
    from embedkit.encoders.base import BaseEncoder
    from embedkit.encoders.pool import EncoderPool
    from embedkit.ingestion import Chunking, Fields, FileRows, chunked
    from embedkit.ingestion.chunking.chunked import By
    from embedkit.records.coercion import MetadataMode
    from embedkit.records.filters import Filter
    from embedkit.retrieval.rerank import RerankerLike
    from embedkit.runtime.options import Decode

    _ParamType = click.ParamType[Any]
else:  # a class without parameters in click 8.2
    _ParamType = click.ParamType

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


def _seconds(given: str) -> float | None:
    """What ``10s`` or ``0.5s`` says; None where it is of another form."""
    found = _SECONDS.fullmatch(given)
    return float(found[1]) if found else None


class _Overlap(_ParamType):
    """Tokens (an integer) or seconds (a float), as ``2s``."""

    name = "overlap"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        if not isinstance(value, str):
            return int(value)
        found = _seconds(value)
        if found is None and not value.isdecimal():
            self.fail(f"expected a number of tokens, or seconds (as 2s), found {value!r}", param, ctx)
        return int(value) if found is None else found


bundle_argument = argument(
    "bundle",
    metavar="BUNDLE",
    help="A folder that embedkit-export made, or the address of a server, as http://host:8080/v1 (with a model's name: http://host:8080/v1#NAME).",
)
files_argument = argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    help="JSON lines, CSV, TSV, Excel, Parquet or Arrow; Markdown, HTML, PDF, Word, PowerPoint or text, one document each; folders; addresses "
    "(s3://, gs://, hf://, https://); - is standard input. "
    "May be compressed. For a bundle of pictures these, and folders of them.",
)
store_option = click.option("--store", required=True, metavar="URL", help="The store's address, such as chroma:index.")
collection_option = click.option("--collection", required=True, metavar="NAME", help="The collection in the store.")
filter_option = click.option(
    "--filter",
    "--within",
    "filter",
    multiple=True,
    metavar="EXPRESSION",
    help="Only rows of the collection whose metadata satisfies it; can be repeated.",
)
json_option = click.option("--json", is_flag=True, help="Print JSON instead of text.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar and no summary in words.")
fail_option = click.option("--fail-on-dead", is_flag=True, help="Exit with 1 if there was a bad row.")


@dataclass(frozen=True)
class Loading:
    """How a bundle is loaded."""

    variant: str = option_field("auto", help="auto, or a variant of the bundle such as fp32 or int8.")
    device: str = option_field("auto", help="auto, cpu, cuda, cuda:N, or cuda:N,M for several.")
    engine: str = option_field(
        "auto",
        help="What computes: auto, onnxruntime or openvino. auto takes openvino where it is installed, was measured here to be "
        "faster and keeps what the bundle promises. openvino:f32, :bf16 and :int8 name its precision, with nothing proved.",
    )
    threads: int | None = option_field(
        None, type=click.IntRange(min=1), help="CPU threads; by default all that may be used."
    )

    decode: str = option_field(
        "exact",
        help="How pictures are read: exact, or fast, for large JPEGs: other vectors, a little, so the same for ingest and search.",
    )

    def load(self, bundle: str) -> BaseEncoder:
        """The encoder of a bundle, or of a server's address."""
        from embedkit.encoders.remote.address import is_address

        if is_address(bundle):
            from embedkit.encoders.remote.encoder import RemoteEncoder

            self.check_remote()
            return RemoteEncoder(bundle, on_truncate="ignore")
        from embedkit.encoders.encoder import Encoder

        return Encoder.load(
            bundle,
            variant=self.variant,
            device=self.device,
            engine=self.engine,
            threads=self.threads,
            on_truncate="ignore",
            decode=cast("Decode", self.decode),
        )

    def pool(self, bundle: str, workers: int) -> EncoderPool:
        """The same in several processes."""
        from embedkit.encoders.pool import EncoderPool

        return EncoderPool.load(
            bundle,
            workers=workers,
            variant=self.variant,
            device=self.device,
            engine=self.engine,
            threads=self.threads,
            on_truncate="ignore",
            decode=cast("Decode", self.decode),
        )

    def reranker(self, bundle: str) -> RerankerLike:
        """The reranker of a cross-encoder's bundle, or of a server's address."""
        import embedkit
        from embedkit.encoders.remote.address import is_address

        if is_address(bundle):
            return embedkit.RemoteReranker(bundle)
        loaded: RerankerLike = embedkit.Reranker.load(
            bundle, variant=self.variant, device=self.device, engine=self.engine, threads=self.threads
        )
        return loaded

    def check_remote(self) -> None:
        """Refuse what a server alone can choose."""
        for one in fields(self):
            if getattr(self, one.name) != one.default:
                raise click.BadParameter(
                    "is for a bundle that is loaded here; give it to the server that has the model",
                    param_hint=f"--{one.name}",
                )


@dataclass(frozen=True)
class ReadingOptions:
    """How files are read."""

    format: str | None = option_field(
        None,
        help="jsonl, csv, tsv, parquet, arrow, xlsx, markdown, html, pdf, docx, pptx, text or image, for all inputs alike.",
    )
    delimiter: str | None = option_field(
        None,
        metavar="CHARACTER",
        help="What stands between the cells of CSV and TSV, as ';'; by default a comma, or a tab.",
    )
    encoding: str | None = option_field(
        None,
        metavar="NAME",
        help="The encoding of all texts, as windows-1252, latin-1 or utf-16; by default UTF-8, or what a page of HTML says.",
    )

    def rows(self, files: Iterable[str], columns: FieldOptions) -> FileRows:
        """The rows of the files; a shell leaves ``\\t`` as it is typed."""
        from embedkit.ingestion import FileRows

        delimiter = "\t" if self.delimiter == "\\t" else self.delimiter
        given = columns.names() | {"format": self.format or None, "delimiter": delimiter, "encoding": self.encoding}
        return FileRows(list(files), **given)


@dataclass(frozen=True)
class FieldOptions:
    """Which part of a row is what."""

    id_field: str = option_field(
        "id", metavar="FIELD", help="The field that holds a row's id; a.b is b in the object a."
    )
    text_field: tuple[str, ...] = option_field(
        (),
        multiple=True,
        metavar="FIELD",
        help="The field that holds a row's text (by default text); several are joined, or a template: '{title}\\n\\n{body}'.",
    )
    metadata_fields: str | None = option_field(
        None, metavar="A,B", help="The fields to keep as metadata; by default all but id and text."
    )
    id_from: str | None = option_field(
        None,
        help="For rows without an id, make one: of the text (a hash), the path with the line, or the row (its line).",
    )
    type: tuple[str, ...] = option_field(
        (),
        multiple=True,
        metavar="FIELD=TYPE",
        help="What the text in a field of metadata stands for: int, float, bool, date or json, as year=int. Cells of CSV are text "
        "otherwise.",
    )
    image_field: str | None = option_field(
        None,
        metavar="FIELD",
        help="The field of a table that names a picture's file, below --root or else beside the table; --text-field is then the caption.",
    )
    root: str | None = option_field(
        None,
        metavar="DIR",
        help="Keep paths of pictures relative to this folder, so that they are the same rows wherever this is run.",
    )
    exif: str | None = option_field(
        None,
        metavar="NAMES",
        help="Keep of what a camera wrote into a picture: time, camera or both, as time,camera. Never where it was taken.",
    )

    def names(self) -> dict[str, Any]:
        """The options of `embedkit.ingestion.FileRows`; a shell leaves ``\\n`` and ``\\t`` in a template as they are
        typed."""
        texts = [name.replace("\\n", "\n").replace("\\t", "\t") for name in self.text_field or ["text"]]
        kept = [name.strip() for name in self.metadata_fields.split(",")] if self.metadata_fields else None
        return {
            "id_field": self.id_field,
            "text_field": texts[0] if len(texts) == 1 else texts,
            "metadata_fields": kept,
            "id_from": self.id_from or None,
            "types": self._types(),
            "image_field": self.image_field or None,
            "root": self.root or None,
            "exif": [name.strip() for name in self.exif.split(",")] if self.exif else None,
        }

    def fields(self) -> Fields:
        """The same as an object."""
        from embedkit.ingestion import Fields
        from embedkit.ingestion.rows.media import MediaFields

        names = self.names()
        media = MediaFields.of(names["image_field"], names["root"], names["exif"])
        return Fields(
            names["id_field"], names["text_field"], names["metadata_fields"], names["id_from"], names["types"], media
        )

    def _types(self) -> dict[str, str]:
        pairs = [given.rpartition("=") for given in self.type]
        for name, equals, kind in pairs:
            if not (name and equals and kind):
                raise click.BadParameter(
                    f"expected FIELD=TYPE, as year=int, found {name + equals + kind!r}", param_hint="--type"
                )
        return {name: kind for name, _, kind in pairs}


@dataclass(frozen=True)
class Cutting:
    """How documents are cut, and what of their metadata is kept."""

    chunk: str | None = option_field(
        None,
        metavar="TOKENS",
        help="Cut documents into chunks of at most so many tokens; auto: as many as the model reads. Sounds: 10s, chunks of ten seconds.",
    )
    overlap: int | float = option_field(
        0,
        type=_Overlap(),
        metavar="TOKENS",
        help="How much a chunk repeats of the one before: tokens, or of sounds seconds, as 2s.",
    )
    chunk_by: str = option_field(
        "sentences",
        help="Where a chunk may end: tokens, sentences (and paragraphs), or headings (Markdown) as well.",
    )
    late: bool = option_field(
        False,
        is_flag=True,
        help="With --chunk: read each document whole, and pool each chunk from its own tokens in it (late chunking); the bundle must have "
        "been exported with --late.",
    )
    metadata: str = option_field(
        "strict",
        help="For values that a store cannot keep as they are: strict refuses the row, coerce takes the nearest value, json keeps "
        "nothing but JSON (no NaN, dates as text).",
    )

    def chunking(self) -> Chunking | None:
        """How to cut; None: not at all."""
        from embedkit.ingestion import Chunking

        if not self.chunk:
            if self.overlap or self.chunk_by != "sentences" or self.late:
                raise click.BadParameter("give --chunk TOKENS (or --chunk auto) with --overlap, --chunk-by and --late")
            return None
        if (size := _seconds(self.chunk)) is not None:
            if self.overlap and not isinstance(self.overlap, float):
                raise click.BadParameter(f"expected seconds, as 2s, found {self.overlap}", param_hint="--overlap")
            if self.chunk_by != "sentences":
                raise click.BadParameter("sounds are cut by seconds alone; leave it out", param_hint="--chunk-by")
            if self.late:
                raise click.BadParameter("sounds are cut before they are read; leave it out", param_hint="--late")
            return Chunking(size, float(self.overlap), "seconds")
        if self.chunk != "auto" and not self.chunk.isdecimal():
            raise click.BadParameter(
                f"expected a number of tokens or auto, or seconds (as 10s), found {self.chunk!r}", param_hint="--chunk"
            )
        if isinstance(self.overlap, float):
            raise click.BadParameter(f"expected a number of tokens, found {self.overlap:g}s", param_hint="--overlap")
        size = None if self.chunk == "auto" else int(self.chunk)
        return Chunking(size, self.overlap, cast("By", self.chunk_by), self.late)

    def mode(self) -> MetadataMode:
        """The mode of metadata."""
        from embedkit.records.coercion import check_mode

        check_mode(self.metadata)
        return cast("MetadataMode", self.metadata)

    def apply(self, rows: FileRows, encoder: BaseEncoder) -> FileRows | chunked:
        """The rows, or their chunks."""
        from embedkit.ingestion import chunked

        rows, chunking = suited(rows, encoder), self.chunking()
        return chunked(rows, encoder, chunking, metadata_policy=self.mode()) if chunking else rows


def suited(rows: FileRows, encoder: BaseEncoder) -> FileRows:
    """The rows as what the bundle's documents are: texts, pictures or sounds."""
    kind = encoder.modality("document").frontend.kind
    return rows.media(kind) if kind in ("image", "audio") else rows


loading_options = grouped("loading", Loading)
columns_options = grouped("columns", FieldOptions)
reading_options = grouped("reading", ReadingOptions)
cutting_options = grouped("cutting", Cutting)


def condition(expressions: Iterable[str]) -> Filter | None:
    """The filter that all the expressions make together."""
    from embedkit.records.filter_text import parse_filter

    whole: Filter | None = None
    for text in expressions:
        whole = parse_filter(text) if whole is None else whole & parse_filter(text)
    return whole


dead_letters_option = click.option(
    "--dead-letters", metavar="PATH", help="Where bad rows go; by default COLLECTION.dead.jsonl here."
)
outputs_option = click.option(
    "--outputs",
    metavar="NAMES",
    help="Which of the bundle's outputs are kept (dense,sparse), separated by commas, at most one of each kind; by default all that "
    "the collection has, or for a new one that the bundle gives.",
)
metric_option = click.option(
    "--metric", help="cosine, dot or euclidean, for a new collection; by default the model's own."
)
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Write nothing: tell what would become of the rows, how long it would take and how much it is.",
)
