"""Thresholds that keep a declared budget of false alarms, from the tail of what was seen: generalised Pareto."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray

SHAPE_LIMIT = 0.4  # of the tail's shape: beyond, its moments say nothing, and a few dozen peaks cannot tell
_STEADY = 1e-12


class TailState(NamedTuple):
    """Peaks over a moving limit; one row per patient."""

    level: Array  # (n,) limit above which a value is a peak: the running quantile
    peaks: Array  # (n, kept) newest excesses over the limit they passed; NaN: none yet
    next: IntArray  # (n,) slot that the next one takes
    seen: IntArray  # (n,) values so far


@dataclass(frozen=True)
class Tail:
    """Threshold that is exceeded with probability `risk`, adapted to each row's own tail.

    A value above the running quantile ``1 - share`` is a peak. The excesses of the newest `kept` peaks are fitted by a
    generalised Pareto distribution, from which the threshold follows. Before there are `least` of them the threshold is
    that of a normal tail with the prior's scale.

    Parameters
    ----------
    risk
        Probability of a false alarm at each value.
    share
        Of the values that are peaks.
    kept, least
        Peaks that are remembered, and how many it takes to believe them.
    prior_level, prior_scale
        Quantile ``1 - share`` and mean excess to begin with.
    slow
        Values that the running quantile remembers.

    Notes
    -----
    What is above the threshold counts as a peak little above it: an anomaly does not teach the tail that it is usual,
    and yet the tail is not cut off where the threshold happens to be.

    References
    ----------
    Siffer et al. 2017, doi:10.1145/3097983.3098144, for peaks over threshold in a stream; Hosking and Wallis 1987,
    doi:10.1080/00401706.1987.10488243, for the fit. Differs in: probability-weighted moments instead of maximum
    likelihood, since they have a closed form for a whole bank; the limit follows the stream instead of a first batch.
    """

    risk: float
    share: float = 0.02
    kept: int = 100
    least: int = 30
    prior_level: float = 2.05  # of a standard normal value
    prior_scale: float = 0.37
    slow: float = 20_000.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0.0 < self.risk < self.share < 0.5:
            raise ValueError(f"need 0 < risk={self.risk} < share={self.share} < 0.5")
        if not 10 <= self.least <= self.kept:
            raise ValueError(f"need 10 <= least={self.least} <= kept={self.kept}")

    def init(self, n: int) -> TailState:
        """State of rows that have seen nothing."""
        zero = np.zeros(n, np.int64)
        return TailState(np.full(n, self.prior_level), np.full((n, self.kept), np.nan), zero, zero)

    def step(self, state: TailState, x: Array) -> tuple[TailState, tuple[Array, BoolArray]]:
        """Judge one value of each row, then learn from it.

        Parameters
        ----------
        state
            Of ``n`` rows.
        x : ndarray, shape (n,)
            NaN is neither judged nor learned from.

        Returns
        -------
        TailState
            After it.
        tuple of ndarray, shape (n,)
            The threshold, and whether `x` is above it.
        """
        limit = self.threshold(state)
        known = ~np.isnan(x)
        value = np.where(known, x, 0.0)
        beyond = known & (value > limit)
        peak = known & (value > state.level)
        scale = self._scale(state.peaks)
        peaks = state.peaks.copy()
        row = np.flatnonzero(peak)
        peaks[row, state.next[row]] = np.minimum(value, limit + scale)[row] - state.level[row]
        # A quantile by stochastic approximation: up by 1 - share, down by share, in steps of the excesses' size.
        pace = scale / self.share / np.clip(state.seen, 10.0 / self.share, self.slow)
        level = state.level + np.where(known, pace * (peak - self.share), 0.0)
        return TailState(
            level=level,
            peaks=peaks,
            next=np.where(peak, (state.next + 1) % self.kept, state.next),
            seen=state.seen + known,
        ), (limit, beyond)

    def threshold(self, state: TailState) -> Array:
        """Where the probability of a value above it is `risk`; shape ``(n,)``."""
        shape, scale = pareto_fit(state.peaks)
        few = (~np.isnan(state.peaks)).sum(axis=-1) < self.least
        shape = np.where(few, 0.0, np.clip(shape, -SHAPE_LIMIT, SHAPE_LIMIT))
        scale = np.where(few, self.prior_scale, scale)
        odds = self.share / self.risk
        steady = np.abs(shape) < 1e-6
        safe = np.where(steady, 1.0, shape)
        reach = np.where(steady, np.log(odds), (odds**safe - 1.0) / safe)
        limit: Array = state.level + scale * reach
        return limit

    def _scale(self, peaks: Array) -> Array:
        known = ~np.isnan(peaks)
        count = known.sum(axis=-1)
        mean = np.where(known, peaks, 0.0).sum(axis=-1) / np.maximum(count, 1)
        return np.where(count >= self.least, mean, self.prior_scale)


def pareto_fit(excesses: Array) -> tuple[Array, Array]:
    """Shape and scale of generalised Pareto distributions by probability-weighted moments.

    Parameters
    ----------
    excesses : ndarray, shape (n, kept)
        At least 0; NaN: none. A row with fewer than two has shape 0 and the mean as its scale.

    Returns
    -------
    tuple of ndarray, shape (n,)
        Shape (more than 0: a heavy tail) and scale.

    Examples
    --------
    >>> exponential = np.random.default_rng(0).exponential(2.0, (1, 100_000))
    >>> shape, scale = pareto_fit(exponential)
    >>> round(float(shape[0]), 1), round(float(scale[0]), 1)
    (0.0, 2.0)
    """
    known = ~np.isnan(excesses)
    count = known.sum(axis=-1)
    ordered = np.sort(np.where(known, excesses, np.inf), axis=-1)
    place = np.arange(excesses.shape[-1])
    inside = place < count[:, None]
    values = np.where(inside, ordered, 0.0)
    total = np.maximum(count, 1)[:, None]
    above = np.where(inside, 1.0 - (place + 0.65) / total, 0.0)  # plotting position of Hosking and Wallis
    first = values.sum(axis=-1) / total[:, 0]
    second = (values * above).sum(axis=-1) / total[:, 0]
    gap = first - 2.0 * second
    fits = (count >= 2) & (gap > _STEADY * np.maximum(first, _STEADY))
    safe = np.where(fits, gap, 1.0)
    shape = np.where(fits, 2.0 - first / safe, 0.0)
    scale = np.where(fits, 2.0 * first * second / safe, first)
    return shape, scale
