"""An ingest by the machines of a cluster: one plan, workers that take blocks of rows, one account. No engine is imported here."""
