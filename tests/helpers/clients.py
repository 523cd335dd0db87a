"""What the tests of clients ask, and the key with which they do."""

from __future__ import annotations

KEY = "a-key-of-the-tests"
TEXTS = ["tea", "", "naïve café 東京", "x" * 300, "tea", "\n a\tb "]
