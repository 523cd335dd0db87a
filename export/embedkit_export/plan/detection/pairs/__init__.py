"""Models that read two texts together: rerankers and classifiers of pairs."""
