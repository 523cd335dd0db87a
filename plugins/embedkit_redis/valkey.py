"""A Valkey server: ``valkey://host:6379/0``, ``valkey+tls://host:6379``; user and password come from ``VALKEY_USERNAME`` and
``VALKEY_PASSWORD``. All else is as with Redis."""

from __future__ import annotations

from . import CAPABILITIES as OF_REDIS
from . import PACKAGES, open_store
from . import SERVER as REDIS

__all__ = ["CAPABILITIES", "PACKAGES", "SERVER", "open_store"]

SERVER = "valkey://HOST:PORT/DATABASE"
CAPABILITIES = {SERVER: OF_REDIS[REDIS]}
