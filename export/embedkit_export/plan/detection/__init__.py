"""What a model is, read from its files: one kind a file."""
