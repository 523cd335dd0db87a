"""Questions for programs of coroutines."""
