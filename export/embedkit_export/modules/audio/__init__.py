"""What is captured of a model that reads sounds."""
