"""The recipes of models of sentence-transformers that read more than texts."""
