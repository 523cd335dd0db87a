"""Items that are no texts: what an export is judged on, and the reference."""
