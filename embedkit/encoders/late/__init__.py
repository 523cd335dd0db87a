"""Parts of texts that are read whole: a vector for each, of its own tokens (late chunking)."""
