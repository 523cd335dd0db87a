"""From JSON to items, and from values to JSON."""
