"""Attention of long texts, in parts that fit into memory."""
