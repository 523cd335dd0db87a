"""For authors of store plugins: subclass `StoreTests` in pytest, and the plugin is held to the whole contract.

::

    class TestMyStore(StoreTests):
        persistent = True

        @pytest.fixture
        def connect(self, tmp_path):
            return lambda: open_store(StoreURL.parse(f"mystore://{tmp_path}"))
"""

from ..errors import MissingExtraError

try:
    import pytest
except ImportError as error:
    raise MissingExtraError("pytest", "dev", "embedkit.testing") from error

_PARTS = ("row", "vector", "filter", "bulk", "lifecycle", "kinds")
pytest.register_assert_rewrite("embedkit.testing.samples", *(f"embedkit.testing.{part}_tests" for part in _PARTS))

from .store_tests import StoreTests  # noqa: E402

__all__ = ["StoreTests"]
