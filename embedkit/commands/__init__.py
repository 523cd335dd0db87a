"""The commands of ``embedkit``, one file for each thing that they are about."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="embedkit",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Encode text with an ONNX bundle, put the vectors into a vector store, and search there; without torch.",
    epilog="\b\nFrom a model to an answer:\n"
    "  embedkit-export MODEL --output bundle\n"
    "  embedkit ingest bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit search bundle 'how do I reset my password' --store chroma:index --collection docs\n"
    "\n\b\nA store is an address: chroma:FOLDER, chroma://HOST:8000, qdrant:FOLDER, pgvector://HOST:5432/DATABASE, ...\n"
    "`embedkit stores` lists those installed. With EMBEDKIT_DEBUG=1 an error shows where it came from.",
)
