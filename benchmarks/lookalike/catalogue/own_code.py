"""Models whose code comes with them."""

from __future__ import annotations

OWN_CODE: tuple[()] = ()
