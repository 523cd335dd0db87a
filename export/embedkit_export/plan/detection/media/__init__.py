"""Models that read pictures or sounds."""
