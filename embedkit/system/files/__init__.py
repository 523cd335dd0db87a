"""What stands in a file, whatever it is read for: its bytes decompressed, its lines, objects of JSON, rows of a table."""
