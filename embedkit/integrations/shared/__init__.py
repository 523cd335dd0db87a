"""What several integrations share: which encoder is meant, rows of a collection, filters."""
