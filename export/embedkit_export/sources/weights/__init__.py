"""Names and numbers of weights, and whether they are all there."""
