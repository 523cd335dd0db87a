"""What is fitted offline, as arrays."""

from __future__ import annotations

import pytest
from sklearn.linear_model import LogisticRegression

import embedkit_export
from embedkit import InputError


def test_what_is_no_regression_is_refused() -> None:
    with pytest.raises(InputError, match="call fit"):
        embedkit_export.logistic_head(LogisticRegression())
