"""``embedkit search``: the documents nearest to a query."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import (
    Loading,
    bundle_argument,
    collection_option,
    condition,
    json_option,
    loading_options,
    store_option,
)
from embedkit.cli.ranking_options import RankingOptions, ranking_options
from embedkit.cli.text_io import as_json, hits_as_objects, input_lines, print_hits, print_json, print_json_line

if TYPE_CHECKING:
    from embedkit.records.documents import Hit


@app.command(
    short_help="The documents nearest to a query.",
    epilog="\b\nExamples:\n"
    "  embedkit search bundle 'tea from the mountains' --store chroma:index --collection docs -k 5\n"
    "  embedkit search bundle tea --store chroma:index --collection docs --filter 'year>=2020' --filter lang==en\n"
    "  embedkit search bundle tea --store chroma:index --collection docs --offset 10 --min-score 0.3 --diversity 0.3\n"
    "  embedkit search bundle tea --store chroma:index --collection docs --hybrid minmax --language english\n"
    "  embedkit search bundle --image cat.jpg --store chroma:index --collection photos --sheet cats.png\n"
    "  embedkit search bundle --audio rain.wav --store chroma:index --collection sounds\n"
    "  embedkit search bundle --image cat.jpg 'the same at night' --store chroma:index --collection photos\n"
    "  embedkit search bundle --input questions.txt --store chroma:index --collection docs > answers.jsonl\n"
    "\n\b\nA filter is FIELD OP VALUE with one of == != < <= > >= in 'not in', or FIELD exists; several must all hold.\n"
    "VALUE is JSON, plain text, or a date:  'lang in [\"en\", \"de\"]'   author=null   'published>=2024-05-01'",
)
@bundle_argument
@argument("query", required=False, metavar="[QUERY]", help="What to look for.")
@click.option(
    "--input", metavar="FILE", help="Queries, one a line (- is standard input); each answer is a line of JSON."
)
@click.option(
    "--audio", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="A sound to look for the like of."
)
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A picture to look for the like of; together with a QUERY in a bundle that reads both as one question.",
)
@click.option(
    "--sheet",
    metavar="FILE",
    help="Draw the pictures of the hits, the query's first: FILE.png, or FILE.html in one piece.",
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="The folder below which --sheet finds pictures whose uri is relative; by default the working folder.",
)
@store_option
@collection_option
@click.option("-k", type=click.IntRange(min=1), default=10, help="The most hits.")
@click.option(
    "--offset", type=click.IntRange(min=0), default=0, help="Leave out the first so many hits: the next page."
)
@click.option(
    "--filter",
    multiple=True,
    metavar="EXPRESSION",
    help="Only documents whose metadata satisfies it; can be repeated.",
)
@click.option("--min-score", type=float, help="Leave out hits that score less.")
@click.option(
    "--diversity",
    type=click.FloatRange(min=0.0, max=1.0),
    default=0.0,
    help="Above 0: hits that are also unlike each other (maximal marginal relevance).",
)
@click.option(
    "--group-by",
    metavar="FIELD",
    help="Of documents with one value in this field of the metadata only the best: source gives the best chunk of each document.",
)
@click.option("--group-size", type=click.IntRange(min=1), default=1, help="With --group-by: the most hits of a group.")
@click.option("--rescore", is_flag=True, help="Fetch more, and rank them by their full vectors: for a rounded index.")
@click.option(
    "--candidates", type=click.IntRange(min=1), help="How many hits --rescore, --diversity and --hybrid choose from."
)
@click.option(
    "--explain",
    is_flag=True,
    help="Tell what matched: words of BM25 (--hybrid) and of sparse vectors, tokens of multi-vectors, each with its part of the score.",
)
@ranking_options
@loading_options
@json_option
def search(
    bundle: str,
    query: str | None,
    input: str | None,
    audio: str | None,
    image: str | None,
    sheet: str | None,
    root: str | None,
    store: str,
    collection: str,
    k: int,
    offset: int,
    filter: tuple[str, ...],
    min_score: float | None,
    diversity: float,
    group_by: str | None,
    group_size: int,
    rescore: bool,
    candidates: int | None,
    explain: bool,
    ranking: RankingOptions,
    loading: Loading,
    json: bool,
) -> None:
    """Find the documents nearest to a query; a higher score is nearer."""
    if sum((bool(input), bool(audio), bool(query is not None or image))) != 1:
        raise click.BadParameter(
            "give either a QUERY, --input FILE, --audio FILE or --image FILE (with a QUERY, where the bundle reads both)"
        )
    if root and not sheet:
        raise click.BadParameter("give --root with --sheet only")
    if group_size != 1 and not group_by:
        raise click.BadParameter("give --group-by with --group-size")
    ranking.check()
    if sheet:
        from embedkit.retrieval.sheets import check_sheet

        check_sheet(sheet)

    wanted: dict[str, Any] = {
        "k": k,
        "offset": offset,
        "filter": condition(filter),
        "min_score": min_score,
        "diversity": diversity,
        "group_by": group_by,
        "group_size": group_size,
        "rescore": rescore,
        "candidates": candidates,
        "explain": explain,
    }
    encoder = loading.load(bundle)
    queries: list[Any]
    if image and query is not None:
        queries = [encoder.modality("query").of_picture(Path(image), query)]
        query = f"{image} {query}"
    elif file := image or audio:
        encoder.role_of("image" if image else "audio")  # or says that the bundle reads none
        query, queries = file, [Path(file)]
    else:
        queries = [query] if query is not None else [line for line in input_lines(input or "") if line.strip()]
    answers = ranking.search(queries, encoder, store, collection, loading, wanted)
    if query is None:
        for text, hits in zip(queries, answers, strict=True):
            print_json_line(_answer(text, hits))
    elif json:
        print_json(as_json(_answer(query, answers[0])))
    else:
        print_hits(answers[0], offset + 1)
        if not answers[0]:
            print(_why_none(filter, offset, min_score), file=sys.stderr)
    if sheet:  # last, so that one that cannot be drawn costs no answer
        _draw(sheet, queries, answers, root, offset + 1)


def _draw(sheet: str, queries: list[Any], answers: list[list[Hit]], root: str | None, first: int) -> None:
    from embedkit.retrieval.sheets import Sheet, write_sheet

    write_sheet(sheet, Sheet.of(queries, answers, root=Path(root) if root else None, first=first))


def _why_none(filter: tuple[str, ...], offset: int, min_score: float | None) -> str:
    if min_score is not None:
        return f"no document scores {min_score:g} or more"
    if offset:
        return "there are no more documents"
    return "no document satisfies the filter" if filter else "the collection is empty"


def _answer(query: str, hits: list[Hit]) -> dict[str, Any]:
    return {"query": query, "hits": hits_as_objects(hits)}
