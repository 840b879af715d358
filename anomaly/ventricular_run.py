"""Runs of ventricular beats, and waves that every lead shows: what shapes say of an alarm."""

import numpy as np

from anomaly.intervals import BeatRing, newest
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.logistic import Logistic

RUN_BEATS = 5  # a ventricular tachycardia has at least so many [PhysioNet/CinC 2015]
KEPT = 64
LATEST = 4  # beats whose class is not known yet
SPAN_NS = 14_000_000_000


def likeliest_run(heart: BeatRing, classed: BeatRing, as_of_ns: IntArray, span_ns: int = SPAN_NS) -> Array:
    """Highest mean probability of being ventricular over 5 beats that follow each other; NaN with fewer.

    The newest beats have no class yet: such a beat is as likely ventricular as not.

    Parameters
    ----------
    heart
        All beats that were found.
    classed
        Those whose class is known; the quality is the probability of being ventricular.
    as_of_ns : ndarray of int, shape (n_devices,)
        Time for which it is wanted.
    span_ns
        Beats of so long before it are looked at.

    Returns
    -------
    ndarray, shape (n_devices,)
    """
    known = newest(classed, as_of_ns, KEPT, as_of_ns - span_ns)
    beats = newest(heart, as_of_ns, LATEST)
    later = beats.there & (beats.times_ns > np.maximum(known.times_ns[:, -1:], as_of_ns[:, None] - span_ns))
    chance = np.concatenate([np.where(known.there, known.quality, np.nan), np.where(later, 0.5, np.nan)], axis=-1)
    # Beats without a class stand behind all others: those that are left out stand at both ends or between the two.
    order = np.argsort(np.isnan(chance), axis=-1, kind="stable")
    chance = np.take_along_axis(chance, order, axis=-1)
    total = np.cumsum(np.nan_to_num(chance), axis=-1)
    sums = np.concatenate([total[:, RUN_BEATS - 1 : RUN_BEATS], total[:, RUN_BEATS:] - total[:, :-RUN_BEATS]], axis=-1)
    whole = np.isfinite(chance[:, RUN_BEATS - 1 :])
    best: Array = np.where(whole, sums, -np.inf).max(axis=-1) / RUN_BEATS
    return np.where(whole.any(axis=-1), best, np.nan)


def least_odds(model: Logistic, leads: Array, wanted: BoolArray) -> Array:
    """Highest, over the wanted windows, of the log odds in the lead that has the least; minus infinity without one.

    Parameters
    ----------
    model
        Gives the log odds of one lead.
    leads : ndarray, shape (n_devices, n_windows, n_channels, n_features)
        NaN where a lead has no signal, as in `VentricularOut`.
    wanted : ndarray of bool, shape (n_devices, n_windows)
        Which windows.
    """
    usable = np.isfinite(leads[..., 0])
    odds = np.where(usable, model.log_odds(np.where(usable[..., None], leads, 0.0)), np.inf)
    least = np.where(usable.any(axis=-1) & wanted, odds.min(axis=-1), -np.inf)
    highest: Array = least.max(axis=-1)
    return highest
