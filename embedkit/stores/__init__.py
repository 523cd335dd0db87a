"""The store contract, and what is the same above every database."""
