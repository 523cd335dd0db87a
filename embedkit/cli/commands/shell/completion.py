"""``embedkit completion``: what a shell needs to complete commands with Tab."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from embedkit.cli.app import app
from embedkit.cli.click_ext import argument

VARIABLE = "_EMBEDKIT_COMPLETE"
"""The variable of the environment by which the shell asks."""


@app.command(
    short_help="The script that completes commands with Tab.",
    epilog="\b\nExamples:\n"
    "  embedkit completion bash > ~/.local/share/bash-completion/completions/embedkit\n"
    "  embedkit completion zsh > ~/.zfunc/_embedkit\n"
    "  embedkit completion fish > ~/.config/fish/completions/embedkit.fish",
)
@argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish", help="Which shell reads it.")
def completion(shell: str) -> None:
    """Print the script by which a shell completes the names of commands, options and their values."""
    made = get_completion_class(shell)
    assert made is not None  # click has these three
    click.echo(made(app, {}, "embedkit", VARIABLE).source())
