"""``embedkit load-table``: a bundle's table of vectors into a collection."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.options import (
    Loading,
    bundle_argument,
    collection_option,
    loading_options,
    quiet_option,
    store_option,
)


@app.command(
    "load-table",
    short_help="A bundle's table of vectors, such as items, into a collection.",
    epilog="\b\nExamples:\n"
    "  embedkit load-table bundle --store chroma:index --collection items\n"
    "  embedkit search bundle '3 17 5' --store chroma:index --collection items",
)
@bundle_argument
@store_option
@collection_option
@click.option("--table", default="items", metavar="NAME", help="The table of the bundle.")
@loading_options
@quiet_option
def load_table(bundle: str, store: str, collection: str, table: str, loading: Loading, quiet: bool) -> None:
    """Write the rows of a table that the bundle carries, such as the items of a recommender, into a collection; nothing is
    encoded, and what is there already is not written again."""
    from embedkit.ingestion import ingest_table

    rows = ingest_table(
        loading.load(bundle), store, collection=collection, table=table, progress=False if quiet else None
    )
    if not quiet:
        print(f"{rows:,} rows of {table} are in {collection}")
