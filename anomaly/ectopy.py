"""Ectopic beats of a ring: the class of each beat beside its other marks, and how many are ventricular in a minute."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.beat_classes import BeatClass
from anomaly.intervals import BeatRing
from anomaly.kernel import Array, BoolArray, IntArray

N_CLASS_MARKS = 2  # the last of each beat: `BeatClass`, and the probability that it is ventricular
LATE_NS = 1_500_000_000  # a beat's class is known so long after it
SPAN_NS = 60_000_000_000
NEAR_NS = 50_000_000  # nearer than two beats are: the one that is meant
LEAST_TOLD = 0.8  # share of the beats that have a class, to say anything


class Ectopy(NamedTuple):
    """Ventricular beats in the minute before the last 1.5 s; NaN where they cannot be counted. Shape (n_devices,)."""

    per_minute: Array
    u: Array  # standard uncertainty, out of the probabilities of the single beats


def unmarked(n: int, m: int) -> NDArray[np.float16]:
    """Marks of beats whose class is not known yet, shape ``(n, m, N_CLASS_MARKS)``."""
    return np.zeros((n, m, N_CLASS_MARKS), np.float16)


def mark(ring: BeatRing, at_ns: IntArray, kind: IntArray, ventricular: Array) -> BeatRing:
    """Rings in which beats have their class.

    Parameters
    ----------
    ring
        Rows of a ring whose last marks are `N_CLASS_MARKS`.
    at_ns : ndarray of int, shape (n_devices, n_new)
        Times of beats, as they were pushed; 0 where there is none. One that the ring does not hold is left out.
    kind, ventricular : ndarray, shape (n_devices, n_new)
        `BeatClass`, and the probability that the beat is ventricular; NaN where it is not known.
    """
    columns = np.flatnonzero((at_ns > 0).any(axis=0))
    if not len(columns):
        return ring
    marks = ring.marks.copy()
    for column in columns:
        row = np.flatnonzero(at_ns[:, column] > 0)
        # The clock model may have moved by a little since the beat was found.
        away = np.abs(ring.times_ns[row] - at_ns[row, column, None])
        place = away.argmin(axis=-1)
        near = away[np.arange(len(row)), place] < NEAR_NS
        row, place = row[near], place[near]
        marks[row, place, -2] = kind[row, column].astype(np.float16)
        marks[row, place, -1] = np.nan_to_num(ventricular[row, column]).astype(np.float16)
    return ring._replace(marks=marks)


def ectopic(ring: BeatRing) -> BoolArray:
    """Beats that are known not to come from the sinus node, shape ``(n_devices, n_kept)``."""
    kind = ring.marks[..., -2]
    found: BoolArray = (kind == BeatClass.VENTRICULAR) | (kind == BeatClass.SUPRAVENTRICULAR)
    return found


def are_ventricular(ring: BeatRing) -> BoolArray:
    """Beats that are known to be ventricular, shape ``(n_devices, n_kept)``."""
    found: BoolArray = ring.marks[..., -2] == BeatClass.VENTRICULAR
    return found


def ventricular(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Ectopy:
    """Count ventricular beats.

    Parameters
    ----------
    ring
        Rows of a ring whose last marks are `N_CLASS_MARKS`.
    as_of_ns, since_ns : ndarray of int, shape (n_devices,)
        The time for which it is asked, and the start of the unbroken evidence: before a whole minute of it nothing is
        said.
    """
    end = as_of_ns - LATE_NS
    inside = (ring.times_ns > (end - SPAN_NS)[:, None]) & (ring.times_ns <= end[:, None])
    told = inside & (ring.marks[..., -2] != BeatClass.UNKNOWN)
    n, n_told = np.count_nonzero(inside, axis=-1), np.count_nonzero(told, axis=-1)
    count = np.count_nonzero(told & (ring.marks[..., -2] == BeatClass.VENTRICULAR), axis=-1)
    p = np.where(told, ring.marks[..., -1].astype(np.float64), 0.0)
    known = (n > 0) & (n_told >= LEAST_TOLD * n) & (since_ns <= end - SPAN_NS)
    spread = np.sqrt((p * (1.0 - p)).sum(axis=-1))
    return Ectopy(np.where(known, count, np.nan), np.where(known, spread, np.nan))


def shares_in(ring: BeatRing, as_of_ns: IntArray, span_ns: int) -> Array:
    """Share of the beats of the last `span_ns` that are known to be ectopic; 0 without a beat. Shape (n_devices,)."""
    inside = (ring.times_ns > (as_of_ns - span_ns)[:, None]) & (ring.times_ns <= as_of_ns[:, None])
    n = np.count_nonzero(inside, axis=-1)
    share: Array = np.count_nonzero(inside & ectopic(ring), axis=-1) / np.maximum(n, 1)
    return share
