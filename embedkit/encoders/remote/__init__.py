"""Encoders and rerankers that a server computes: ours, or any that speaks as OpenAI's does."""
