"""Windows of rows on their way into a collection: how large they are, on which threads, and what became of their rows."""
