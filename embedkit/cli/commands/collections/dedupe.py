"""``embedkit dedupe``: rows that are nearly the same."""

from __future__ import annotations

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import collection_option, condition, filter_option, json_option, quiet_option
from embedkit.cli.text_io import print_report


@app.command(
    short_help="Rows of a collection that are nearly the same.",
    epilog="\b\nExamples:\n"
    "  embedkit dedupe chroma:index --collection docs\n"
    "  embedkit dedupe chroma:index --collection docs --threshold 0.98 --filter lang==en --delete\n"
    "\n\b\nNo model is loaded: the vectors of the rows are read from the store. Without --delete nothing is changed.",
)
@argument("store", metavar="STORE", help="The store's address, such as chroma:index.")
@collection_option
@click.option("--threshold", type=float, default=0.95, help="The least cosine of rows that are nearly the same.")
@filter_option
@click.option("--delete", is_flag=True, help="Delete them, and keep of each group the first, by their ids.")
@json_option
@quiet_option
def dedupe(
    store: str, collection: str, threshold: float, filter: tuple[str, ...], delete: bool, json: bool, quiet: bool
) -> None:
    """Find near-duplicates by their stored vectors; delete them with --delete."""
    from embedkit.ingestion.jobs.dedupe import dedupe as run

    report = run(
        store,
        collection=collection,
        threshold=threshold,
        filter=condition(filter),
        delete=delete,
        progress=False if quiet else None,
    )
    print_report(report, json, quiet)
