"""Pulse transit time: from the R peak of a beat to the foot of its pulse, the running median of half a minute."""

from typing import Final, NamedTuple

import numpy as np

from anomaly.kernel import Array, IntArray
from anomaly.median import median

SPAN_NS: Final = 30_000_000_000
DELAY_NS: Final = (60_000_000, 450_000_000)  # no pulse is faster, at the chest or the wrist none is slower
LEAST: Final = 8  # beats with a pulse of their own
LEAST_SHARE: Final = 0.5  # of the beats of the half minute
MOST_SPREAD_MS: Final = 25.0  # beats and pulses whose delays scatter by more do not belong together
TIMING_MS: Final = 3.0  # what is common to all beats: shape of the foot, band-pass, sampling
TO_SIGMA: Final = 1.4826  # of a normal distribution, in units of its median distance from the median
OF_MEDIAN: Final = 1.2533  # uncertainty of a median in units of that of a mean


class TransitOut(NamedTuple):
    """Shape (n,) each; NaN where delays are too few or do not agree."""

    ms: Array
    u_ms: Array
    n_pairs: IntArray  # beats that have a pulse
    share: Array  # of the beats of the half minute, 0..1
    spread_ms: Array  # of the single delays; NaN with fewer than two


def transit(beats_ns: IntArray, feet_ns: IntArray, as_of_ns: IntArray) -> TransitOut:
    """Median delay of the pulses' feet after the R peaks of the half minute before a time.

    Parameters
    ----------
    beats_ns : ndarray of int, shape (n, n_beats)
        Times of R peaks; 0: none.
    feet_ns : ndarray of int, shape (n, n_pulses)
        Times of the feet of pulses; 0: none.
    as_of_ns : ndarray of int, shape (n,)
        Later ones are left out.

    Notes
    -----
    A pulse belongs to the newest beat that is at least 60 ms older. A beat without a pulse within 450 ms (an early
    one, which drives no blood, or one that was not seen) is left out. Both times come through the same device's clock;
    where heart and light come from two devices, the difference of their clocks is in the delay.

    References
    ----------
    Mukkamala et al. 2015, doi:10.1109/TBME.2015.2441951, for the foot by intersecting tangents. From the R peak it is a
    pulse *arrival* time: the heart's pre-ejection period is in it.

    Examples
    --------
    >>> beats = np.arange(1, 31)[None] * 1_000_000_000
    >>> transit(beats, beats + 220_000_000, np.array([31_000_000_000])).ms.tolist()
    [220.0]
    """
    start = as_of_ns[:, None] - SPAN_NS
    beat = (beats_ns > start) & (beats_ns <= as_of_ns[:, None])
    foot = (feet_ns > start) & (feet_ns <= as_of_ns[:, None])
    delay = feet_ns[:, :, None] - beats_ns[:, None, :]
    delay = np.where(beat[:, None, :] & foot[:, :, None] & (delay >= DELAY_NS[0]), delay, DELAY_NS[1] + 1).min(axis=-1)
    paired = delay <= DELAY_NS[1]
    # The newest beats have no pulse yet, and what pulses have no beat says nothing of these.
    due = np.count_nonzero(beat & (beats_ns <= as_of_ns[:, None] - DELAY_NS[1]), axis=-1)
    n = np.count_nonzero(paired, axis=-1)
    ms = delay / 1e6
    middle = median(ms, paired)
    spread = TO_SIGMA * median(np.abs(ms - middle[:, None]), paired)
    share = np.minimum(n / np.maximum(due, 1), 1.0)
    known = (n >= LEAST) & (share >= LEAST_SHARE) & (spread <= MOST_SPREAD_MS)
    u = np.hypot(TIMING_MS, OF_MEDIAN * spread / np.sqrt(np.maximum(n, 1)))
    return TransitOut(
        ms=np.where(known, middle, np.nan),
        u_ms=np.where(known, u, np.nan),
        n_pairs=n,
        share=share,
        spread_ms=np.where(n > 1, spread, np.nan),
    )
