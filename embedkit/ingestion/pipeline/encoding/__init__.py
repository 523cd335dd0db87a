"""Windows of rows and their vectors."""
