"""For authors of store plugins: subclass `StoreTests` in pytest, with a fixture ``connect`` (docs/writing-a-store.md), and the
plugin is held to the whole contract. `embedkit.testing.tiny` makes a bundle of a few kilobytes."""

from embedkit import errors

try:
    import pytest
except ImportError as error:
    raise errors.MissingExtraError("pytest", "dev", "embedkit.testing") from error

_PARTS = ("row", "vector", "filter", "bulk", "lifecycle", "kinds")
pytest.register_assert_rewrite("embedkit.testing.samples", *(f"embedkit.testing.{part}_tests" for part in _PARTS))

from .store_tests import StoreTests  # noqa: E402

__all__ = ["StoreTests"]
