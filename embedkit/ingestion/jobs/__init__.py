"""What else is done with a collection: check, copy, estimate, retry."""
