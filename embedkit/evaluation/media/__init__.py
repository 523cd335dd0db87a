"""Labelled pictures: their files, and the measures that they share."""
