"""Questions to a collection: rankers, their fusion, the reranker's last word."""
