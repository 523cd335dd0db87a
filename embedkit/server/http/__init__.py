"""What all routes share: bodies, refusals, keys, and what is told of a request."""
