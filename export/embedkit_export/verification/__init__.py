"""Torch against the bundle, and the gate."""
