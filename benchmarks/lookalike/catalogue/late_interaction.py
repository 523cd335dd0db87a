"""Late interaction: a vector for each token, in the folders of Stanford's ColBERT and of PyLate."""

from __future__ import annotations

LATE_INTERACTION: tuple[()] = ()
