"""Torch modules that are captured."""
