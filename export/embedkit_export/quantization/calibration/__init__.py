"""What a graph computes on typical texts, measured in pieces that fit into memory."""
