"""What is written beside the graphs."""
