"""Slope by medians: an oracle, steps that do not scatter, wild values, and an uncertainty that holds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from anomaly.slope import slope

Array = NDArray[np.float64]


def test_it_is_the_median_of_all_pairs_and_a_row_alone_is_as_in_a_bank() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((40, 24))
    values[rng.random(values.shape) < 0.3] = np.nan
    out = slope(values, 5)
    for k, row in enumerate(values):
        there = np.flatnonzero(np.isfinite(row))
        each = [(row[b] - row[a]) / (b - a) for i, a in enumerate(there) for b in there[i + 1 :]]
        assert out.slope[k] == np.median(each)
        alone = slope(values[k : k + 1], 5)
        assert (alone.slope[0], alone.u[0]) == (out.slope[k], out.u[k])


@pytest.mark.parametrize("alike", [0.0, 0.6])
def test_the_uncertainty_holds_what_it_should(alike: float) -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((600, 48))
    for k in range(1, 48):
        noise[:, k] = alike * noise[:, k - 1] + np.sqrt(1.0 - alike**2) * noise[:, k]
    out = slope(0.05 * np.arange(48) + noise, 12)
    held = np.abs(out.slope - 0.05) <= 1.96 * out.u
    assert 0.88 < held.mean() < 0.99
    assert abs(float(np.mean(out.slope)) - 0.05) < 0.005


def test_wild_values_and_too_few() -> None:
    line = 2.0 + 0.1 * np.arange(48.0)
    line[5:15] = 17.0
    out = slope(np.stack([line, np.full(48, 4.0), np.full(48, np.nan)]), 12, 0.25)
    assert out.slope[0] == pytest.approx(0.1, abs=0.01)
    assert out.slope[1] == 0.0
    assert out.u[1] > 0.0  # whole numbers that do not change are not certain
    assert np.isnan(out.slope[2])
    few = np.full((1, 48), np.nan)
    few[0, :11] = np.arange(11.0)
    assert np.isnan(slope(few, 12).slope[0])
