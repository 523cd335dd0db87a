"""``python -m embedkit`` is the command ``embedkit``."""

from .cli import main

main()
