"""What a manifest says of the items of a role: one file a kind of input."""
