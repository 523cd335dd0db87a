"""What is asked beside a text: two collections the same, the best of each document, rows like others."""
