"""One task a file: texts and labels in, measures out."""
