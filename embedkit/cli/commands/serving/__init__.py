"""The commands that stay and answer."""
