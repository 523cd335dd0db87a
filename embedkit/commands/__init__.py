"""The commands of ``embedkit``, one file for each thing that they are about."""

from __future__ import annotations

import click

from .. import __version__
from .interface import Group


@click.group(
    "embedkit",
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="\b\nFrom a model to an answer:\n"
    "  embedkit-export MODEL --output bundle\n"
    "  embedkit ingest bundle docs.jsonl --store chroma:index --collection docs\n"
    "  embedkit search bundle 'how do I reset my password' --store chroma:index --collection docs\n"
    "\n\b\nA store is an address: chroma:FOLDER, chroma://HOST:8000, qdrant:FOLDER, pgvector://HOST:5432/DATABASE, ...\n"
    "`embedkit stores` lists those installed. With EMBEDKIT_DEBUG=1 an error shows where it came from.",
)
@click.version_option(__version__, message="embedkit %(version)s")
def app() -> None:
    """Encode text with an ONNX bundle, put the vectors into a vector store, and search there; without torch."""
