"""``python -m embedkit`` is the command ``embedkit``."""

from embedkit.cli.entry import main

main()
