"""``embedkit mcp``: a collection as tools of language models."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import click

from embedkit.cli.app import app
from embedkit.cli.options import Loading, bundle_argument, loading_options, store_option


@app.command(
    short_help="A collection as tools of a language model (MCP).",
    epilog="\b\nExamples:\n"
    "  embedkit mcp bundle --store sqlite-vec:notes.db --collection notes\n"
    "  embedkit mcp http://localhost:8080/v1 --store qdrant://localhost:6333 --collection wiki --collection mail\n"
    "\n\b\nA client starts it, and asks over standard input and output. In its configuration:\n"
    '  {"mcpServers": {"notes": {"command": "embedkit", "args": ["mcp", "/path/to/bundle",\n'
    '                            "--store", "sqlite-vec:/path/to/notes.db", "--collection", "notes"]}}}',
)
@bundle_argument
@store_option
@click.option(
    "--collection",
    "collections",
    required=True,
    multiple=True,
    metavar="NAME",
    help="May be searched; can be repeated.",
)
@loading_options
def mcp(bundle: str, store: str, collections: tuple[str, ...], loading: Loading) -> None:
    """Answer a client of the Model Context Protocol: search, get and list_collections. Nothing is written to the store."""
    from embedkit.retrieval.tools.protocol import converse
    from embedkit.retrieval.tools.toolbox import Toolbox
    from embedkit.stores.opening import open_store

    out = sys.stdout
    with redirect_stdout(sys.stderr):  # the client reads messages alone
        encoder = loading.load(bundle)
        with open_store(store, make=False) as opened:
            converse(Toolbox(encoder, opened, list(collections)), sys.stdin, out)
