"""For authors of store plugins: subclass `StoreTests` in pytest, and the plugin is held to the whole contract.

::

    class TestMyStore(StoreTests):
        persistent = True

        @pytest.fixture
        def connect(self, tmp_path):
            return lambda: open_store(StoreURL.parse(f"mystore://{tmp_path}"))
"""

from embedkit import errors

try:
    import pytest
except ImportError as error:
    raise errors.MissingExtraError("pytest", "dev", "embedkit.testing") from error

pytest.register_assert_rewrite("embedkit.testing.store_tests", "embedkit.testing.kinds_tests")

from .store_tests import StoreTests  # noqa: E402

__all__ = ["StoreTests"]
