"""Text: templates, tokenizers, and what is cut."""
