"""The group of commands ``embedkit``: its own, and those that other installed packages add."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from embedkit.system.version import __version__

from .click_ext import Group

COMMANDS = "embedkit.commands"
"""The entry point group of further commands: each names a `click.Command`."""


class App(Group):
    """The commands of this package, then those of the entry points `COMMANDS`, which are looked for when they are wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        own = super().list_commands(ctx)
        return [*own, *sorted({entry.name for entry in entry_points(group=COMMANDS)} - {*own})]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; one of the package's own stands before another's."""
        own = super().get_command(ctx, cmd_name)
        for entry in () if own else entry_points(group=COMMANDS, name=cmd_name):
            found: click.Command = entry.load()
            return found
        return own


@click.group(
    "embedkit",
    cls=App,
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
