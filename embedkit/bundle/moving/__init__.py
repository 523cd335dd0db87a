"""Bundles from and to other machines, each file by the manifest's sha256."""
