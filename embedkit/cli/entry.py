"""The command ``embedkit``. What a command needs is imported when it runs, so that ``embedkit --help`` is quick."""

from __future__ import annotations

import os
import sys

from embedkit.errors import EmbedkitError
from embedkit.system.files.words import begin_in_utf_8

from .app import app

# Each registers its commands, in the order of the help.
# isort: off
from .commands import encode, rerank, classify, ingest, search, stores, table, bundles, evaluate  # noqa: F401
from .commands.collections import info, migrate, similar, dedupe  # noqa: F401
from .commands.moving import pull, push  # noqa: F401
from .commands.serving import mcp, serve  # noqa: F401
from .commands.shell import completion  # noqa: F401
# isort: on


def main() -> None:
    """Run the command. An `EmbedkitError` is one line on stderr and exit code 1; wrong usage gives 2, Ctrl-C 130."""
    begin_in_utf_8()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="embedkit")
    except EmbedkitError as error:
        if os.environ.get("EMBEDKIT_DEBUG"):
            raise
        print("error: " + str(error).replace("\n", " "), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
