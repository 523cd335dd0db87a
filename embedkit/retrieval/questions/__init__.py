"""What is asked beside a text: two collections the same."""
