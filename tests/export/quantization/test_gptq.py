"""Rounding by the output: against the nearest steps, and against GPTQ as first written down."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit_export.quantization import gptq as rounding
from helpers.products import error


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 20))
def test_rounding_stays_near_the_weight(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(k, n)).astype(np.float32), rng.normal(size=(max(2, k // 2), k)).astype(np.float32)
    steps, scale = rounding.OutputRounding((x.T @ x / len(x)).astype(np.float32))(weight)
    assert steps.shape == weight.shape
    assert steps.dtype == np.int8
    assert (steps >= -127).all()
    assert error(x @ (steps * scale), x @ weight) <= 1.05 * error(
        x @ np.multiply(*rounding.nearest(weight)), x @ weight
    ) + 0.02 * error(x @ weight, 0 * (x @ weight))


def test_rounding_by_the_output_lowers_the_error_of_correlated_inputs() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(16, 128)).astype(np.float32)
    x = (rng.normal(size=(2000, 16)) @ mixing + 0.3 * rng.normal(size=(2000, 128))).astype(np.float32)
    weight = rng.normal(size=(128, 64)).astype(np.float32)
    plain, plain_scale = rounding.nearest(weight)
    steps, scale = rounding.OutputRounding((x.T @ x / len(x)).astype(np.float32))(weight)
    assert error(x @ (steps * scale), x @ weight) < 0.5 * error(x @ (plain * plain_scale), x @ weight)


def test_rounding_is_what_one_row_after_the_other_gives() -> None:
    """Against GPTQ as first written down: the inverse of what is left is computed anew for every row."""
    rng = np.random.default_rng(4)
    k, n = 40, 6
    x = rng.normal(size=(300, k)) @ rng.normal(size=(k, k))
    second, weight = (x.T @ x / len(x)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    steps, scale = rounding.OutputRounding(second)(weight)
    moment = second.astype(np.float64)
    damped = moment + rounding.DAMPING * np.trace(moment) / k * np.eye(k)
    left = weight.astype(np.float64)
    assert np.allclose(scale, np.abs(left).max(0) / 127, rtol=1e-4)
    todo = list(np.argsort(-np.diag(second), kind="stable"))
    expected = np.zeros((k, n))
    while todo:
        row = todo[0]
        expected[row] = np.clip(np.rint(left[row] / scale), -127, 127)
        inverse = np.linalg.inv(damped[np.ix_(todo, todo)])
        wrong = (left[row] - expected[row] * scale) / inverse[0, 0]
        left[todo] -= np.outer(inverse[:, 0], wrong)
        todo.pop(0)
    assert (steps == expected).mean() > 0.99, "a number that lies halfway may fall to either side"


def test_a_dead_input_is_no_trouble() -> None:
    weight = np.ones((8, 3), np.float32)
    steps, scale = rounding.OutputRounding(np.zeros((8, 8), np.float32))(weight)
    assert np.isfinite(scale).all()
    assert steps.shape == weight.shape
