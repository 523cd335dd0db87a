"""``embedkit copy`` and ``stores``: what is stored, wherever it is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from . import app
from .options import CollectionOption, JsonOption, QuietOption, WithinOption, condition
from .printing import as_json


@app.command(
    short_help="A collection from one store to another, without encoding.",
    epilog="\b\nExamples:\n"
    "  embedkit copy chroma:index qdrant://localhost:6333 --collection docs\n"
    "  embedkit copy chroma:index chroma:index --collection docs --as english --within lang==en\n"
    "\n\b\nRun it again where it was cut: rows that the target has are not copied twice.",
)
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The address of the store to read.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The address of the store to write.")],
    collection: CollectionOption,
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="What the copy is called; by default the same.")
    ] = "",
    within: WithinOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Copy a collection's rows with their vectors; nothing is encoded again."""
    from ..ingestion import copy as run

    report = run(
        source,
        target,
        collection=collection,
        name=name or None,
        within=condition(within),
        progress=False if quiet else None,
    )
    if json:
        print(report.to_json())
    elif not quiet:
        print(report)
    if report.failed:
        raise typer.Exit(1)


@app.command(short_help="The stores that are installed, and what they can do.")
def stores(json: JsonOption = False) -> None:
    """List the store plugins, the form of their addresses, what each can do, and what is missing to use it."""
    from ..plugins import describe

    found = [describe(scheme) for scheme in _schemes()]
    if json:
        print(as_json({plugin.scheme: plugin.to_json() for plugin in found}))
        return
    for plugin in found:
        print(f"{plugin.scheme:12} {plugin.problem or 'ready'}")
        for address, words in plugin.abilities().items():
            print(f"    {address:32} {words}")
    if not found:
        print("no store plugin is installed: run  pip install 'embedkit-onnx[chroma]'", file=sys.stderr)


def _schemes() -> list[str]:
    from ..registry import store_plugins

    return list(store_plugins())
