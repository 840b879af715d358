"""Shares and means that say NaN where there was nothing, the bootstrap over records, and the version measured."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from anomaly.kernel import Array

DRAWS = 2000


def share(part: float, whole: float) -> float:
    """Part of a whole; NaN of nothing.

    Examples
    --------
    >>> share(3, 4), share(0, 0)
    (0.75, nan)
    """
    return part / whole if whole else np.nan


def mean(values: Array) -> float:
    """Mean of the numbers among `values`; NaN where there are none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else np.nan


def interval(
    per_record: Array, statistic: Callable[[Array], float], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """95 % confidence of a statistic by the percentile bootstrap over records.

    Parameters
    ----------
    per_record : ndarray, shape (n_records, ...)
        What `statistic` is made from; whole records are drawn, since what one record holds hangs together.
    statistic
        Of such an array with as many rows.

    Examples
    --------
    >>> counts = np.array([[9, 1], [10, 0], [8, 2]])  # found, missed
    >>> low, high = interval(counts, lambda drawn: float(drawn[:, 0].sum() / drawn.sum()))
    >>> round(low, 2), round(high, 2)
    (0.8, 1.0)

    References
    ----------
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if len(per_record) == 0:
        return np.nan, np.nan
    generator = np.random.default_rng(seed)
    rows = generator.integers(len(per_record), size=(draws, len(per_record)))
    found = np.array([statistic(per_record[drawn]) for drawn in rows])
    found = found[~np.isnan(found)]
    if len(found) == 0:
        return np.nan, np.nan
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def installed() -> str:
    """Version of femtoward that was measured."""
    try:
        return version("femtoward")
    except PackageNotFoundError:
        return "not installed"
