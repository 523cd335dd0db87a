"""``embedkit info``: what a collection is."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import json_option
from embedkit.cli.text_io import as_json, print_json


@app.command(
    short_help="What a collection is: rows, bytes, model, index, recall.",
    epilog="\b\nExamples:\n"
    "  embedkit info chroma:index\n"
    "  embedkit info chroma:index --collection docs --sample 1000 --json\n"
    "\n\b\nFor recall@10 all vectors are read, and compared with the sampled ones; --sample 0 leaves it out.",
)
@argument("store", metavar="STORE", help="The store's address, such as chroma:index.")
@click.option("--collection", multiple=True, metavar="NAME", help="The collection; can be repeated. By default all.")
@click.option("--sample", type=click.IntRange(min=0), default=100, help="Search for so many rows by their own vectors.")
@json_option
def info(store: str, collection: tuple[str, ...], sample: int, json: bool) -> None:
    """Tell what collections hold, how they keep it, and how much of an exact search theirs finds."""
    from embedkit.ingestion.jobs.info import info as run
    from embedkit.stores.opening import open_store

    with open_store(store, make=False) as connection:
        found = [run(connection, collection=name, sample=sample) for name in collection or connection.names()]
    if json:
        print_json(as_json({"store": store, "collections": [report.to_json() for report in found]}))
    else:
        print("\n".join(map(str, found)) or "no collections")
