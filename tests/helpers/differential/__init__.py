"""Stores against a dictionary: random sequences of what users do, whose answers are compared with those of plain Python."""
