"""Options that are refused before a model is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from embedkit.errors import InputError
from embedkit_export.plan.prepare import prepare


@pytest.mark.parametrize(
    ("options", "message"),
    [({"max_tokens": 2}, "max_tokens: expected at least 3, found 2"), ({"kind": "odd"}, "kind: .*found 'odd'")],
)
def test_options_are_refused_before_the_model_is_looked_for(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare("/no/such/model", **options)
