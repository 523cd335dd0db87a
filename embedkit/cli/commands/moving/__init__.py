"""Commands that move a bundle."""
