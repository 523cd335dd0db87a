"""Long rows into chunks that a model reads whole."""
