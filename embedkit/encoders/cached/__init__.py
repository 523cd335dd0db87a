"""Vectors of texts kept on disk, so that the same text is not computed again."""
