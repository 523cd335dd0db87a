"""How rows are read as 8-bit numbers: against numpy."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedkit_export.quantization import activations as reading
from embedkit_export.quantization import rowwise as quantize
from helpers.products import by_hand, error, one_product, run, statistics_of, with_massive_tokens


def test_a_bound_below_halves_the_error() -> None:
    rng = np.random.default_rng(6)
    weight = rng.normal(size=(128, 64)).astype(np.float32)
    x = rng.normal(size=(2, 50, 128)).astype(np.float32)
    gelu = (x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))).astype(np.float32)
    assert gelu.min() > -reading.LOWEST["Gelu"]
    for activation, activated in (("Gelu", gelu), ("Relu", np.maximum(x, 0))):
        model = one_product(weight, activation=activation)
        quantize.rowwise_int8(model)
        exact = activated @ weight
        assert error(run(model, {"x": x}), exact) < 0.8 * error(by_hand(activated, weight), exact)


def test_smoothing_keeps_the_product_and_lowers_the_error() -> None:
    rng = np.random.default_rng(7)
    weight = rng.normal(size=(96, 48)).astype(np.float32)
    x = rng.normal(size=(2, 60, 96)).astype(np.float32)
    x[..., :3] *= 40
    factors = reading.smoothing(np.abs(x).max((0, 1)), [weight], 0.7)
    assert np.allclose((x / factors) @ (weight * factors[:, None]), x @ weight, rtol=1e-3, atol=1e-2)
    assert np.exp(np.log(factors).mean()) == pytest.approx(1, rel=1e-4)
    errors = []
    for statistics in ([], [("x", statistics_of(x))]):
        model = one_product(weight)
        quantize.rowwise_int8(model, quantize.choose(model, statistics))
        errors.append(error(run(model, {"x": x}), x @ weight))
    assert errors[1] < 0.7 * errors[0]


def test_a_channel_that_is_huge_in_few_tokens_is_read_in_parts() -> None:
    rng = np.random.default_rng(11)
    weight = rng.normal(size=(192, 40)).astype(np.float32)
    x, unseen = with_massive_tokens(rng, 900, 192, 20), with_massive_tokens(rng, 300, 192, 20)[None]
    statistics = statistics_of(x)
    whole = [reading.ActivationQuantizer(reading.smoothing(statistics.peak, [weight], a)) for a in reading.ALPHAS]
    split = reading.choose_reading(statistics, [weight], None)
    assert set(split.copies) == {5, 189}
    assert len(split.copies) <= 192 // 48
    assert np.allclose(split.smoothed(unseen[0]) @ split.weight(weight), unseen[0] @ weight, rtol=1e-4, atol=1e-4)
    assert np.allclose(
        split.moment(statistics.moment()),
        split.smoothed(np.eye(192)).T @ statistics.moment() @ split.smoothed(np.eye(192)),
        atol=1e-3,
    )
    exact = unseen[0, ::20] @ weight
    before = min(error(how(unseen[0, ::20]) @ how.weight(weight), exact) for how in whole)
    model = one_product(weight)
    choices = quantize.choose(model, [("x", statistics)])
    assert quantize.rowwise_int8(model, choices) == 1
    assert error(split(unseen[0, ::20]) @ split.weight(weight), exact) < 0.7 * before
    assert error(run(model, {"x": unseen})[0, ::20], exact) < 0.85 * before


def test_ordinary_channels_are_read_once() -> None:
    rng = np.random.default_rng(12)
    weight = rng.normal(size=(192, 40)).astype(np.float32)
    x = rng.normal(size=(900, 192)) * rng.lognormal(0, 0.5, size=192)
    assert reading.choose_reading(statistics_of(x.astype(np.float32)), [weight], None).copies is None


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([None, "Gelu", "Relu"]), st.sampled_from([1e-6, 1.0, 1e4]), st.booleans()
)
def test_a_reading_is_within_half_a_step(seed: int, made_by: str | None, size: float, smooth: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(7, 24)) * size).astype(np.float32)
    if made_by:
        rows = np.maximum(rows, -np.float32(reading.LOWEST[made_by]))
    weights = [rng.normal(size=(24, 5)).astype(np.float32)]
    how = reading.choose_reading(statistics_of(rows) if smooth else None, weights, made_by)
    assert (np.abs(how(rows) - how.smoothed(rows)) <= how.steps(rows) * 0.5001).all()
    assert 0 <= how.zero <= 128
