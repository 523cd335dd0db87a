"""The threads that compute one request."""
