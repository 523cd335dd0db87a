"""What of a query met what of a document: tokens of multi-vectors, words of sparse vectors and of BM25."""
