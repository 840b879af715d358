"""How a beat lies among its neighbours in time: ratios of intervals to what is usual in its patient."""

import numpy as np

from anomaly.kernel import Array

N_BACK = 32  # intervals that "usual" looks back on
N_NEAR = 8  # intervals that "of late" looks back on
LONGEST_S = 3.0  # a longer interval says nothing of the rhythm
USUAL_S = 0.8  # before anything is known
UNSEEN_S = 0.25  # a beat is not yet known for so long after its R peak
LEAST_S = 0.1

TIMING = (
    "before_to_usual",  # all but "after_unknown", "irregular" and "usual" are logarithms of ratios of intervals
    "after_to_usual",
    "before_to_late",
    "after_to_late",
    "after_to_before",
    "previous_to_usual",
    "before_to_previous",
    "after_unknown",  # 1: no next beat yet, "after" is how long there was none
    "next_to_usual",
    "irregular",  # median change from interval to interval, over the usual interval
    "both_to_usual",
    "usual",  # log of seconds
    "before_to_long",
    "after_to_long",
)


def timing(at: Array, following: Array, now: Array, second: float) -> Array:
    """Tell `TIMING` of one beat in each row.

    Parameters
    ----------
    at : ndarray, shape (n, N_BACK + 2)
        R peaks up to the beat, which is the last, samples; NaN in front where there were fewer.
    following : ndarray, shape (n, 2)
        The next two; NaN where not known.
    now : ndarray, shape (n,)
        When the beat is judged, samples.
    second : float
        Samples in a second.

    Returns
    -------
    ndarray, shape (n, len(TIMING))
    """
    n = len(at)
    each = np.arange(n)
    interval = np.diff(at, axis=-1) / second  # the last is the one before the beat
    past = interval[:, :-1]
    valid = np.where(past < LONGEST_S, past, np.inf)
    count = np.isfinite(valid).sum(axis=-1)
    usual = _quantile(np.sort(valid, axis=-1), count, 0.5)
    near = valid[:, -N_NEAR:]
    n_near = np.isfinite(near).sum(axis=-1)
    late = np.where(np.isfinite(near), near, 0.0).sum(axis=-1) / np.maximum(n_near, 1)
    late = np.where(n_near > 0, late, usual)
    middle = valid[:, N_BACK // 2 :]
    n_middle = np.isfinite(middle).sum(axis=-1)
    long = np.where(n_middle > 0, _quantile(np.sort(middle, axis=-1), n_middle, 0.8), usual)
    both = np.isfinite(valid[:, 1:]) & np.isfinite(valid[:, :-1])
    change = np.full(both.shape, np.inf)
    np.abs(np.subtract(valid[:, 1:], valid[:, :-1], out=change, where=both), out=change)
    n_change = both.sum(axis=-1)
    irregular = np.where(n_change > 0, _quantile(np.sort(change, axis=-1), n_change, 0.5) / usual, 0.0)

    before = np.where(interval[:, -1] < LONGEST_S, interval[:, -1], usual)
    previous = np.where(past[:, -1] < LONGEST_S, past[:, -1], usual)
    last = at[each, -1]
    unknown = np.isnan(following[:, 0])
    waited = np.maximum((now - last) / second - UNSEEN_S, LEAST_S)
    after = np.where(unknown, waited, (following[:, 0] - last) / second)
    known = ~np.isnan(following[:, 1])
    second_after = np.where(known, (following[:, 1] - following[:, 0]) / second, usual * np.exp(0.3))
    return np.stack(
        [
            _log(before / usual),
            _log(after / usual),
            _log(before / late),
            _log(after / late),
            _log(after / before),
            _log(previous / usual),
            _log(before / previous),
            unknown.astype(np.float64),
            _log(second_after / usual),
            irregular,
            _log(0.5 * (before + after) / usual),
            _log(usual),
            _log(before / long),
            _log(after / long),
        ],
        axis=-1,
    )


def _quantile(ordered: Array, count: Array, share: float) -> Array:
    """Quantile of the first `count` of each ascending row, `USUAL_S` where there are none."""
    place = share * np.maximum(count - 1, 0)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    each = np.arange(len(ordered))
    a = np.where(count > 0, ordered[each, low], USUAL_S)
    b = np.where(count > 0, ordered[each, high], USUAL_S)
    found: Array = a + (place - low) * (b - a)
    return found


def _log(ratio: Array) -> Array:
    logarithm: Array = np.log(np.maximum(ratio, 1e-3))
    return logarithm
