"""Fewer samples a second: the same however the signal is cut, and nothing folds down to where hearts beat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import a_step_writes_to_no_argument, cut, run, same, state_survives_pickling
from numpy.typing import NDArray

from anomaly.decimate import Decimator

Array = NDArray[np.float64]


def noise(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape)


@given(st.integers(1, 7), st.lists(st.integers(1, 199), max_size=12, unique=True))
def test_any_cut_gives_the_same_samples_and_the_same_state(factor: int, edges: list[int]) -> None:
    kernel, x = Decimator(factor), noise(3, 2, 200)
    whole_state, (whole,) = run(kernel, [x])
    state, parts = run(kernel, cut(x, sorted(edges)))
    same(state, whole_state)
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)


@pytest.mark.parametrize("factor", [1, 4, 5])
def test_samples_are_those_of_a_triangle(factor: int) -> None:
    x = noise(1, 1, 100)
    _, (got,) = run(Decimator(factor), [x])
    triangle = np.convolve(np.ones(factor), np.ones(factor)) / factor**2
    smooth = np.convolve(x[0, 0], triangle)[factor - 1 : 100 : factor]
    np.testing.assert_allclose(got[0, 0, 1:], smooth[1:], atol=1e-12)


def test_a_constant_stays_one_and_what_would_fold_to_it_is_gone() -> None:
    t = np.arange(1000) / 400.0
    x = np.stack([np.full_like(t, 3.0), np.sin(2 * np.pi * 100.0 * t), np.sin(2 * np.pi * 195.0 * t)])[:, None]
    _, (got,) = run(Decimator(4), [x])
    np.testing.assert_allclose(got[0, 0], 3.0)
    assert np.abs(got[1:, 0, 2:]).max() < 0.01


def test_the_other_laws_hold() -> None:
    blocks = cut(noise(5, 2, 500), range(62, 500, 62))
    a_step_writes_to_no_argument(Decimator(4), blocks)
    state_survives_pickling(Decimator(4), blocks)


def test_rows_of_different_phases_are_refused() -> None:
    kernel = Decimator(4)
    state = kernel.init(noise(2, 1, 3))
    with pytest.raises(ValueError, match=r"rows of one phase, got \[0, 1\]"):
        kernel.step(state._replace(phase=np.array([0, 1])), noise(2, 1, 3))
