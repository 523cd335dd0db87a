"""Models whose items are no texts: what reads them, and how."""
