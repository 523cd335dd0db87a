"""What the commands that fill a collection share."""
