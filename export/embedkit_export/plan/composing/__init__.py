"""What a role reads whose items have parts, or are numbers that were made before."""
