"""The commands that keep collections over the years."""
