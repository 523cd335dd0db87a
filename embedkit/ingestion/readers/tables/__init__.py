"""Readers of files with a row a document."""
