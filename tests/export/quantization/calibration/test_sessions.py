"""Sessions of a graph leave it as it was."""

from __future__ import annotations

import numpy as np
import pytest

from embedkit_export.quantization.calibration import sessions
from helpers.products import one_product
from helpers.untouched import untouched


def test_a_session_that_cannot_be_opened_leaves_the_graph_as_it_was() -> None:
    model = one_product(np.ones((32, 8), np.float32), activation="Gelu")
    model.graph[0].op_type = "NoSuchOperator"
    with untouched(model), pytest.raises(Exception, match="NoSuchOperator"):
        sessions.open_session(model, ["activated"])
    with untouched(model), pytest.raises(KeyError):
        sessions.open_session(model, ["activated", "no such value"])
