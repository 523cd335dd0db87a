"""Outputs of a graph beside its first."""
