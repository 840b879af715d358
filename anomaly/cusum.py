"""Change of a mean, found as fast as a chosen rate of false alarms allows: one-sided CUSUM over a bank."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray

OVERSHOOT = 1.166  # by which a walk of unit variance passes a limit, both ends together: 2 * 0.583 (Siegmund 1985)
_ROUNDS = 60  # of the fixed point for the threshold; it converges far earlier


class CusumState(NamedTuple):
    """Evidence gathered so far."""

    sum: Array  # (n, m)


@dataclass(frozen=True)
class Cusum:
    """Cumulative sum of ``x - shift / 2``, never below 0; an alarm is due above `threshold`.

    Parameters
    ----------
    m
        Sums kept for each row, such as one for each pattern.

    Notes
    -----
    `x` is standard normal and independent while nothing has changed. A NaN adds nothing. The step that passes the
    threshold begins anew from 0: what goes on is an alarm again once the threshold is reached again.

    References
    ----------
    Page 1954, doi:10.1093/biomet/41.1-2.100; optimal in the sense of Lorden 1971: Moustakides 1986,
    doi:10.1214/aos/1176350164.
    """

    m: int = 1

    def init(self, n: int) -> CusumState:
        """State of rows that have seen nothing."""
        return CusumState(np.zeros((n, self.m)))

    def step(
        self, state: CusumState, x: Array, shift: Array, threshold: Array
    ) -> tuple[CusumState, tuple[Array, BoolArray]]:
        """Take one observation.

        Parameters
        ----------
        state
            Of ``n`` rows.
        x, shift, threshold : ndarray, shape (n, m)
            Observation, the change that is looked for, and the limit from `threshold`; all in standard deviations.

        Returns
        -------
        CusumState
            After it.
        tuple of ndarray, shape (n, m)
            The sum, and whether it has passed its threshold.
        """
        gain = np.where(np.isnan(x), 0.0, x - 0.5 * shift)
        total = np.maximum(state.sum + gain, 0.0)
        passed = total > threshold
        return CusumState(np.where(passed, 0.0, total)), (total, passed)


def threshold(shift: Array | float, mean_time: Array | float) -> Array:
    """Limit of a `Cusum` whose false alarms are `mean_time` observations apart.

    Parameters
    ----------
    shift
        The change that is looked for, in standard deviations; more than 0.
    mean_time
        Observations between two false alarms on average; more than 1.

    Examples
    --------
    One false alarm in 30 days, an observation a second, for shifts of a half, one, two and three standard deviations:

    >>> np.round(threshold(np.array([0.5, 1.0, 2.0, 3.0]), 30 * 86400.0), 1).tolist()
    [24.2, 12.9, 6.6, 4.3]

    References
    ----------
    Siegmund 1985, Sequential Analysis, section 2.6: ``mean_time = (exp(b) - b - 1) / (2 d**2)`` with ``d = shift / 2``
    and ``b = 2 d (limit + OVERSHOOT)``.
    """
    drift = 0.5 * np.asarray(shift, np.float64)
    goal = 2.0 * drift * drift * np.asarray(mean_time, np.float64)
    height = np.log1p(goal)
    for _ in range(_ROUNDS):
        height = np.log1p(goal + height)
    limit: Array = np.maximum(height / (2.0 * drift) - OVERSHOOT, 0.0)
    return limit
