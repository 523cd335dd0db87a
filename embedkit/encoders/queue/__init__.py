"""What waits for an encoder: how much may, in what order it is taken, and when to come again."""
