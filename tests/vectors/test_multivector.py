"""MaxSim by its definition, and exactly the same whatever is scored together; texts chosen as of a list; what can be none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from embedkit import InputError, MultiVectors

LENGTHS = (1, 2, 3, 0, 5, 8, 13, 32, 33, 90)


def some(dim: int, seed: int, scale: float = 1.0) -> MultiVectors:
    rng = np.random.default_rng(seed)
    return MultiVectors.of([scale * rng.normal(size=(n, dim)) for n in rng.permutation(LENGTHS)])


def by_definition(a: MultiVectors, b: MultiVectors) -> np.ndarray:
    """In float64, pair by pair."""
    out = np.zeros((len(a), len(b)))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            if len(one) and len(other):
                out[i, j] = np.einsum("qd,kd->qk", one.astype(np.float64), other.astype(np.float64)).max(axis=1).sum()
    return out


@given(st.integers(1, 300), st.integers(0, 1000), st.sampled_from([1e-12, 1.0, 1e8]))
@settings(max_examples=30, deadline=None)
def test_maxsim_is_its_definition(dim: int, seed: int, scale: float) -> None:
    a, b = some(dim, seed, scale), some(dim, seed + 1)
    wanted = by_definition(a, b)
    assert np.abs(a.maxsim(b) - wanted).max() <= 1e-6 * max(np.abs(wanted).max(), 1e-30)


@pytest.mark.parametrize("dim", [1, 7, 24, 96, 128, 768, 1024])
def test_a_score_does_not_depend_on_what_is_scored_with_it(dim: int) -> None:
    a, b = some(dim, 1), some(dim, 2)
    together = a.maxsim(b)
    order = np.random.default_rng(3).permutation(len(b))
    assert a.maxsim(b[order]).tobytes() == together[:, order].tobytes()
    for i in range(len(a)):
        for j in range(len(b)):
            assert a[i : i + 1].maxsim(b[j : j + 1])[0, 0] == together[i, j]


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="found 3 and 4"):
        some(3, 0).maxsim(some(4, 0))


TEXTS = st.integers(1, 5).flatmap(
    lambda dim: st.lists(
        npst.arrays(np.float32, st.tuples(st.integers(0, 4), st.just(dim)), elements=st.floats(-9, 9, width=32)),
        min_size=1,
        max_size=6,
    )
)


@given(TEXTS, st.data())
def test_texts_are_chosen_as_of_a_list(texts: list[np.ndarray], data: st.DataObject) -> None:
    found, n = MultiVectors.of(texts), len(texts)
    assert (len(found), found.dim) == (n, texts[0].shape[1])
    assert (found.offsets.dtype, found.values.dtype) == (np.int64, np.float32)
    assert all(np.array_equal(a, b) for a, b in zip(found, texts, strict=True))
    some = data.draw(st.lists(st.integers(-n, n - 1), max_size=9))
    assert found[np.array(some, dtype=np.intp)] == MultiVectors.of([texts[i] for i in some], found.dim)
    part = data.draw(st.slices(n))
    assert found[part] == MultiVectors.of(texts[part], found.dim)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    assert found[mask] == MultiVectors.of([text for text, kept in zip(texts, mask, strict=True) if kept], found.dim)
    assert np.array_equal(found[-1], texts[-1])
    for wrong in (n, -n - 1):
        with pytest.raises(IndexError):
            found[wrong]


@given(TEXTS)
@settings(max_examples=20)
def test_what_is_saved_or_put_together_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[np.ndarray]):
    found, path = MultiVectors.of(texts), tmp_path_factory.mktemp("saved") / "vectors"
    found.save(path)
    assert MultiVectors.load(path) == found
    assert MultiVectors.concatenate([found[i : i + 1] for i in range(len(found))]) == found
    assert found != texts
    with pytest.raises(TypeError):
        hash(found)


@pytest.mark.parametrize(
    ("offsets", "values", "message"),
    [
        ([], np.ones((2, 3)), "offsets"),
        ([0, 1], np.ones((2, 3)), "expected 2 at the end, found 1"),
        ([1, 2], np.ones((2, 3)), "rising numbers from 0"),
        ([0, 2, 1, 2], np.ones((2, 3)), "rising numbers from 0"),
        ([[0, 2]], np.ones((2, 3)), "rising numbers from 0"),
        ([0.0, 2.0], np.ones((2, 3)), "expected integers"),
        ([0, 2], np.ones(2), r"shape \(m, dim\)"),
        ([0, 2], np.ones((2, 0)), r"shape \(m, dim\)"),
        ([0, 2], np.array([[1, np.nan], [1, 1]]), "NaN or infinity"),
        ([0, 2], np.array([[1, 1e39], [1, 1]]), "NaN or infinity"),
        ([0, 2], np.array([["a"], ["b"]]), "expected numbers"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(offsets, values, message) -> None:
    with pytest.raises(InputError, match=message):
        MultiVectors(offsets, values)


def test_what_can_be_no_texts_is_refused(tmp_path) -> None:
    some = MultiVectors.of([np.ones((2, 3))])
    for refused in (
        lambda: MultiVectors.of([np.ones((2, 3)), np.ones((2, 4))]),
        lambda: MultiVectors.of([np.ones((2, 3))], 4),
        lambda: MultiVectors.of([np.ones(3)]),
        lambda: MultiVectors.of([[[1.0], [1.0, 2.0]]]),
        lambda: MultiVectors.concatenate([]),
        lambda: MultiVectors.concatenate([some, MultiVectors.of([np.ones((1, 2))])]),
        lambda: some.maxsim(np.ones((2, 3))),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError):
            refused()
    np.savez(tmp_path / "other.npz", offsets=["a"], values=[])
    with pytest.raises(InputError, match="offsets"):
        MultiVectors.load(tmp_path / "other.npz")
