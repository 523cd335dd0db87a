"""What is kept of the files of pictures."""
