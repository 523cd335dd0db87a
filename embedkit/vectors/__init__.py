"""Arrays and their arithmetic: dense, sparse and several vectors a row."""
