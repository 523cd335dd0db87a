"""The order of an export."""
