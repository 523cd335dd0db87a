"""``embedkit similar``: the rows that are like others."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import collection_option, condition, json_option
from embedkit.cli.text_io import as_json, hits_as_objects, print_hits, print_json


@app.command(
    short_help="The documents like others, by their ids.",
    epilog="\b\nExamples:\n"
    "  embedkit similar chroma:index doc-17 --collection docs\n"
    "  embedkit similar chroma:index doc-17 doc-4 --unlike doc-9 --collection docs -k 5 --filter 'year>=2020'\n"
    "\n\b\nNo model is loaded: the vectors of the rows are read from the store.",
)
@argument("store", metavar="STORE", help="The store's address, such as chroma:index.")
@argument("ids", nargs=-1, required=True, metavar="ID...", help="What the documents are to be like.")
@collection_option
@click.option("--unlike", multiple=True, metavar="ID", help="What they are to be unlike; can be repeated.")
@click.option("-k", type=click.IntRange(min=1), default=10, help="The most hits.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Leave out the first so many hits.")
@click.option(
    "--filter", multiple=True, metavar="EXPRESSION", help="Only documents whose metadata satisfies it; can be repeated."
)
@json_option
def similar(
    store: str,
    ids: tuple[str, ...],
    collection: str,
    unlike: tuple[str, ...],
    k: int,
    offset: int,
    filter: tuple[str, ...],
    json: bool,
) -> None:
    """Find the documents nearest to some documents of the collection, which are not among them."""
    from embedkit.retrieval.questions.likeness import similar as run

    hits = run(
        store,
        collection=collection,
        like=list(ids),
        unlike=list(unlike),
        k=k,
        offset=offset,
        filter=condition(filter),
    )
    if json:
        print_json(as_json({"like": list(ids), "unlike": list(unlike), "hits": hits_as_objects(hits)}))
    else:
        print_hits(hits, offset + 1)
