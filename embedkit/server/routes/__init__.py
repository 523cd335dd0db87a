"""The routes, a file a family of clients."""
