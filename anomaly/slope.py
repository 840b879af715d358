"""Slope of a slow course by the medians of Theil and Sen, with an uncertainty that knows that neighbours are alike."""

from typing import Final, NamedTuple

import numpy as np

from anomaly.kernel import Array
from anomaly.median import median

TO_SIGMA: Final = 1.4826  # of a normal distribution, in units of the median distance from the median
MOST_ALIKE: Final = 0.8  # correlation of neighbours that is believed: beyond it there is no telling from a slope
LEAST_ALIKE: Final = 8  # values, from which on it can be told


class SlopeOut(NamedTuple):
    """Shape (n,) each; NaN with fewer values than are needed."""

    slope: Array  # per step
    u: Array


def slope(values: Array, least: int, floor: float = 0.0) -> SlopeOut:
    """Median of the slopes of all pairs of values.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        Values at even steps; NaN where there is none.
    least
        So many have to be there.
    floor
        Standard uncertainty of a single value, at the least: whole numbers do not scatter when nothing changes.

    Notes
    -----
    Up to 29 % of the values may be anything. The uncertainty is that of a line through values that scatter as the rest
    does (by its median), for the number of independent ones that the correlation of neighbours leaves.

    References
    ----------
    Sen 1968, doi:10.1080/01621459.1968.10480934. Differs from it in: the uncertainty is not taken from ranks, which
    would take neighbours for independent.

    Examples
    --------
    >>> out = slope(np.array([[1.0, 1.5, 9.0, 2.5, np.nan, 3.5]]), 4)
    >>> round(float(out.slope[0]), 2)
    0.5
    """
    k = values.shape[-1]
    there = np.isfinite(values)
    count = np.count_nonzero(there, axis=-1)
    x = np.where(there, values, 0.0)
    first, second = np.triu_indices(k, 1)
    both = there[:, first] & there[:, second]
    middle = median((x[:, second] - x[:, first]) / (second - first), both)
    time = np.arange(k, dtype=np.float64)
    rest = x - middle[:, None] * time
    rest = np.where(there, rest - median(rest, there)[:, None], 0.0)
    sigma = TO_SIGMA * median(np.abs(rest), there)
    square = np.square(rest).sum(axis=-1)
    together = (rest[:, 1:] * rest[:, :-1]).sum(axis=-1)
    # What is left of a line that was laid through n values looks less alike than they are.
    lost = 1.0 / np.maximum(count, LEAST_ALIKE)
    alike = (together / np.maximum(square, 1e-30) + 2.0 * lost) / (1.0 - 4.0 * lost)
    alike = np.minimum(np.maximum(alike, 0.0), MOST_ALIKE)
    middle_time = np.where(there, time, 0.0).sum(axis=-1) / np.maximum(count, 1)
    away = np.where(there, time - middle_time[:, None], 0.0)
    spread = np.sqrt(np.square(away).sum(axis=-1))
    u = np.hypot(sigma, floor) / np.maximum(spread, 1e-30) * np.sqrt((1.0 + alike) / (1.0 - alike))
    known = count >= max(least, 2)
    return SlopeOut(np.where(known, middle, np.nan), np.where(known, u, np.nan))
