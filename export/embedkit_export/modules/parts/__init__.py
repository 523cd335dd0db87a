"""What is captured of a model whose items have parts, or are numbers that were made before."""
