"""One row: where it was read, what it holds, why it is bad."""
