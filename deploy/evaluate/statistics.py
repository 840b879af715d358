"""Shares, means and rates that say NaN of nothing, the bootstrap over records, and the version that was measured."""

from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version

import msgspec
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


class Rates(msgspec.Struct, frozen=True):
    """Fractions; NaN (null in JSON) where there was nothing to tell."""

    se: float
    sp: float
    f1: float


def mean_rates(rows: Iterable[object]) -> Rates:
    """Mean over records of their `se`, `sp` and `f1`, each record weighing the same."""
    each = list(rows)
    return Rates(*(mean(np.array([getattr(row, name) for row in each])) for name in Rates.__struct_fields__))


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
