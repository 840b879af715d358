"""What the cardiac lane gives to vitals that take their time: the newest beats, and their average."""

from typing import Final, NamedTuple

import numpy as np

from anomaly import ectopy
from anomaly.strip import StripRing
from dataflows import tree
from dataflows.cardiac_state import CardiacState
from dataflows.estimates import N_BEATS, N_SHAPE, QT_METER, BoolArray, FloatArray, IntArray
from dataflows.events import SECOND_NS

EVERY_S: Final = 5
BEATS_AT, QT_AT = 0, 2  # seconds of these five: beats are handed on in one, QT is measured in another
QT_BEATS: Final = 16  # that a look holds at the fastest rate at which QT is told


class Slow(NamedTuple):
    """Fields of `estimates.Cardiac`."""

    beats_ns: IntArray
    sinus: BoolArray
    shape: FloatArray
    shape_beats: IntArray


def due(end_ns: IntArray, at: int) -> BoolArray:
    """Whether what is looked for in second `at` of every `EVERY_S` is due at the end of a second."""
    is_due: BoolArray = end_ns // SECOND_NS % EVERY_S == at
    return is_due


def newest(times_ns: IntArray, as_of_ns: IntArray) -> IntArray:
    """The newest `N_BEATS` times of a ring, those after `as_of_ns` being 0; shape (n, N_BEATS)."""
    last = times_ns[:, -N_BEATS:]
    return np.where(last <= as_of_ns[:, None], last, 0)


def slow_of(ring: StripRing, state: CardiacState, here: BoolArray, as_of_ns: IntArray, end_ns: IntArray) -> Slow:
    """Gather what is due.

    Parameters
    ----------
    ring
        Of the lead that QT is measured in.
    state
        Of ``n`` rows.
    here : shape (n,)
        The lane has data of this second.
    as_of_ns, end_ns : shape (n,)
        The time up to which beats are known, and the end of the second.
    """
    n = len(here)
    beats_ns, sinus = np.zeros((n, N_BEATS), np.int64), np.zeros((n, N_BEATS), np.bool_)
    rows = np.flatnonzero(here & due(end_ns, BEATS_AT))
    if len(rows):
        beats_ns[rows] = newest(state.ring.times_ns[rows], as_of_ns[rows])
        fine = ~ectopy.ectopic(tree.take(state.ring, rows))
        sinus[rows, 1:] = (fine[:, 1:] & fine[:, :-1])[:, 1 - N_BEATS :]
    shape, shape_beats = np.zeros((n, N_SHAPE)), np.zeros(n, np.int64)
    rows = np.flatnonzero(here & due(end_ns, QT_AT))
    if len(rows):
        shape[rows], shape_beats[rows] = _averaged(ring, state, rows, as_of_ns[rows])
    return Slow(beats_ns, sinus, shape, shape_beats)


def _averaged(ring: StripRing, state: CardiacState, rows: IntArray, as_of_ns: IntArray) -> tuple[FloatArray, IntArray]:
    """Average of the beats that the ring of some rows holds, and of how many."""
    beats = tree.take(state.ring, rows)
    times = beats.times_ns[:, -QT_BEATS:]
    fine = (times > 0) & (times <= as_of_ns[:, None]) & ~ectopy.ectopic(beats)[:, -QT_BEATS:]
    seen, end_ns = state.seen[rows][:, None], state.end_ns[rows][:, None]
    place = seen - np.where(fine, end_ns - times, 0) * (ring.rate_hz / SECOND_NS)
    ratio = ring.rate_hz / ring.out_hz
    first = np.ceil((state.seen[rows] - 0.5) / ratio).astype(np.int64) - ring.n_kept
    at = np.where(fine, (place + ring.delay) / ratio - first[:, None], np.nan)
    return QT_METER.average(ring.take(tree.take(state.steep, rows), first, ring.n_kept), at)
