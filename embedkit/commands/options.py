"""What several commands take, and how it is said on a command line.

A command that has a parameter of one of the dataclasses here is given an option for each of its fields by `grouped`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Optional, cast, get_type_hints

import typer

if TYPE_CHECKING:
    from ..coercion import MetadataMode
    from ..encoder import Encoder
    from ..filters import Filter
    from ..ingestion import Chunking, Fields, FileRows, chunked
    from ..ingestion.chunking import By

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="A folder that embedkit-export made.")]
FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="JSON lines, CSV, TSV, Parquet or Arrow; Markdown, HTML or text, one document each; folders; - is standard input. "
        "May be compressed.",
    ),
]
StoreOption = Annotated[str, typer.Option("--store", metavar="URL", help="The store's address, such as chroma:index.")]
CollectionOption = Annotated[str, typer.Option("--collection", metavar="NAME", help="The collection in the store.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary in words.")]
FailOption = Annotated[bool, typer.Option("--fail-on-dead", help="Exit with 1 if there was a bad row.")]
WithinOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        metavar="EXPRESSION", help="Only rows of the collection whose metadata satisfies it; can be repeated."
    ),
]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with each parameter of a dataclass type spread into parameters, one a field, for typer."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not is_dataclass(kind):
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = kind
        options = get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=options[field.name],
            )
            for field in fields(kind)
        ]

    @wraps(command)
    def run(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@dataclass(frozen=True)
class Loading:
    """How a bundle is loaded."""

    variant: Annotated[str, typer.Option(help="auto, or a variant of the bundle such as fp32 or int8.")] = "auto"
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, or cuda:N,M for several.")] = "auto"
    engine: Annotated[
        str,
        typer.Option(
            help="What computes: auto, onnxruntime or openvino. auto takes openvino where it is installed, was measured here to be "
            "faster and keeps what the bundle promises. openvino:f32, :bf16 and :int8 name its precision, with nothing proved.",
        ),
    ] = "auto"
    threads: Annotated[Optional[int], typer.Option(min=1, help="CPU threads; by default all that may be used.")] = None  # noqa: UP045

    def load(self, bundle: str) -> Encoder:
        """The encoder of a bundle."""
        from ..encoder import Encoder

        return Encoder.load(
            bundle,
            variant=self.variant,
            device=self.device,
            engine=self.engine,
            threads=self.threads,
            on_truncate="ignore",
        )


@dataclass(frozen=True)
class Columns:
    """Which part of a row is what."""

    id_field: Annotated[
        str, typer.Option(metavar="FIELD", help="The field that holds a row's id; a.b is b in the object a.")
    ] = "id"
    text_field: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="FIELD",
            help="The field that holds a row's text (by default text); several are joined, or a template: '{title}\\n\\n{body}'.",
        ),
    ] = None
    metadata_fields: Annotated[
        str, typer.Option(metavar="A,B", help="The fields to keep as metadata; by default all but id and text.")
    ] = ""
    id_from: Annotated[
        str,
        typer.Option(
            help="For rows without an id, make one: of the text (a hash), the path with the line, or the row (its line)."
        ),
    ] = ""

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
        }

    def fields(self) -> Fields:
        """The same as an object."""
        from ..ingestion import Fields

        names = self.names()
        return Fields(names["id_field"], names["text_field"], names["metadata_fields"], names["id_from"])


@dataclass(frozen=True)
class Cutting:
    """How documents are cut, and what of their metadata is kept."""

    chunk: Annotated[
        str,
        typer.Option(
            metavar="TOKENS",
            help="Cut documents into chunks of at most so many tokens; auto: as many as the model reads.",
        ),
    ] = ""
    overlap: Annotated[
        int, typer.Option(min=0, metavar="TOKENS", help="How much a chunk repeats of the one before.")
    ] = 0
    chunk_by: Annotated[
        str,
        typer.Option(help="Where a chunk may end: tokens, sentences (and paragraphs), or headings (Markdown) as well."),
    ] = "sentences"
    metadata: Annotated[
        str,
        typer.Option(
            help="For values that a store cannot keep as they are: strict refuses the row, coerce takes the nearest value, json keeps "
            "nothing but JSON (no NaN, dates as text)."
        ),
    ] = "strict"

    def chunking(self) -> Chunking | None:
        """How to cut; None: not at all."""
        from ..ingestion import Chunking

        if not self.chunk:
            if self.overlap or self.chunk_by != "sentences":
                raise typer.BadParameter("give --chunk TOKENS (or --chunk auto) with --overlap and --chunk-by")
            return None
        if self.chunk != "auto" and not self.chunk.isdecimal():
            raise typer.BadParameter(f"expected a number of tokens or auto, found {self.chunk!r}", param_hint="--chunk")
        return Chunking(None if self.chunk == "auto" else int(self.chunk), self.overlap, cast("By", self.chunk_by))

    def mode(self) -> MetadataMode:
        """The mode of metadata."""
        from ..coercion import check_mode

        check_mode(self.metadata)
        return cast("MetadataMode", self.metadata)

    def apply(self, rows: FileRows, encoder: Encoder) -> FileRows | chunked:
        """The rows, or their chunks."""
        from ..ingestion import chunked

        chunking = self.chunking()
        return chunked(rows, encoder, chunking, metadata=self.mode()) if chunking else rows


FormatOption = Annotated[
    str,
    typer.Option(
        help="jsonl, csv, tsv, parquet, arrow, markdown, html or text, for all inputs; by default their names tell."
    ),
]


def condition(expressions: list[str] | None) -> Filter | None:
    """The filter that all the expressions make together."""
    from ..filters import parse_filter

    whole: Filter | None = None
    for text in expressions or []:
        whole = parse_filter(text) if whole is None else whole & parse_filter(text)
    return whole
