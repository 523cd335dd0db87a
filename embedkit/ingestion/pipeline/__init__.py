"""Read, skip, encode, write."""
