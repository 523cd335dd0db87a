"""``embedkit copy`` and ``stores``: what is stored, wherever it is."""

from __future__ import annotations

import sys

import click

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument
from embedkit.cli.options import collection_option, condition, filter_option, json_option, quiet_option
from embedkit.cli.text_io import as_json, print_json


@app.command(
    short_help="A collection from one store to another, without encoding.",
    epilog="\b\nExamples:\n"
    "  embedkit copy chroma:index qdrant://localhost:6333 --collection docs\n"
    "  embedkit copy chroma:index chroma:index --collection docs --as english --filter lang==en\n"
    "\n\b\nRun it again where it was cut: rows that the target has are not copied twice.",
)
@argument("source", metavar="FROM", help="The address of the store to read.")
@argument("target", metavar="TO", help="The address of the store to write.")
@collection_option
@click.option("--as", "name", metavar="NAME", help="What the copy is called; by default the same.")
@filter_option
@json_option
@quiet_option
def copy(
    source: str, target: str, collection: str, name: str | None, filter: tuple[str, ...], json: bool, quiet: bool
) -> None:
    """Copy a collection's rows with their vectors; nothing is encoded again."""
    from embedkit.ingestion import copy as run

    report = run(
        source,
        target,
        collection=collection,
        name=name or None,
        filter=condition(filter),
        progress=False if quiet else None,
    )
    if json:
        print_json(report.to_json())
    elif not quiet:
        print(report)
    if report.failed:
        sys.exit(1)


@app.command(short_help="The stores that are installed, and what they can do.")
@json_option
def stores(json: bool) -> None:
    """List the store plugins, the form of their addresses, what each can do, and what is missing to use it."""
    from embedkit.stores.plugins import describe

    found = [describe(scheme) for scheme in _schemes()]
    if json:
        print_json(as_json({plugin.scheme: plugin.to_json() for plugin in found}))
        return
    for plugin in found:
        print(f"{plugin.scheme:12} {plugin.problem or 'ready'}")
        for address, words in plugin.abilities().items():
            print(f"    {address:32} {words}")
    if not found:
        print("no store plugin is installed: run  pip install 'embedkit-onnx[chroma]'", file=sys.stderr)


def _schemes() -> list[str]:
    from embedkit.stores.plugins import store_plugins

    return list(store_plugins())
