"""Patterns of beats: the pause that a beat has ended, every second beat of another kind, ventricular beats in a row."""

import numpy as np

from anomaly.conditions import ASYSTOLE_NS, Evidence
from anomaly.intervals import NS_PER_MS, STALE_NS, BeatRing, newest
from anomaly.irregularity import marks_of
from anomaly.kernel import BoolArray, IntArray

PAUSE_NS = 3_000_000_000
PAUSE_HELD_NS = 10_000_000_000  # a pause is told for so long after the beat that ended it
PAUSE_BEATS = 48  # that many are searched: 10 s at up to 280 bpm
BIGEMINY_PAIRS = 5  # pairs of a beat and one of another kind
EARLY = 0.9  # of the interval after it: what is before a premature beat is shorter
RUN_BEATS = 3  # ventricular beats in a row
RUN_LONGEST_NS = 600_000_000  # between two of them: 100 bpm
RUN_HELD_NS = 10_000_000_000
LOOK_BACK = 64  # beats searched for the beginning


def pause(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Evidence:
    """An interval of 3 s or more that a beat has ended; one of 4 s or more is an asystole, and not told twice.

    A pause is over when it is told. It stays true for 10 s after the beat that ended it, so that pauses which follow
    each other are one; its onset is 3 s after the first of their beats. `value` and `limit` are seconds.

    Parameters
    ----------
    ring
        Rows of a ring of beats.
    as_of_ns, since_ns : ndarray of int, shape (n_devices,)
        As in `conditions.asystole`.
    """
    beats = newest(ring, as_of_ns, PAUSE_BEATS, since_ns)
    gap = np.diff(beats.times_ns, axis=-1)
    young = beats.times_ns[:, 1:] > (as_of_ns - PAUSE_HELD_NS)[:, None]
    found = beats.there[:, :-1] & young & (gap >= PAUSE_NS) & (gap < ASYSTOLE_NS)
    known = beats.there[:, -2] & (beats.times_ns[:, -1] >= as_of_ns - STALE_NS)
    true = known & found.any(axis=-1)
    first = np.argmax(found, axis=-1)[:, None]
    onset = np.take_along_axis(beats.times_ns, first, axis=-1)[:, 0] + PAUSE_NS
    longest = np.where(found, gap, 0).max(axis=-1) / 1e9
    return Evidence(
        known=known,
        true=true,
        onset_ns=np.where(true, onset, 0),
        value=np.where(true, longest, np.nan),
        limit=np.full(as_of_ns.shape, PAUSE_NS / 1e9),
        quality=np.where(known, beats.quality[:, -2:].mean(axis=-1), 0.0),
    )


def bigeminy(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Evidence:
    """Every second beat comes early and is of another kind than the usual one, five times in a row or more.

    `value` and `limit` are pairs of beats, `value` as far as beats are searched. The onset is the first beat of the
    first pair. Unknown with fewer beats than make five pairs, and when the newest is more than 4 s old.

    Parameters
    ----------
    ring
        Rows of a ring of beats, marked by `averaged.AveragedBeat`.
    as_of_ns, since_ns : ndarray of int, shape (n_devices,)
        As in `conditions.asystole`.
    """
    beats = newest(ring, as_of_ns, LOOK_BACK, since_ns)
    odd = beats.there & ~marks_of(ring, as_of_ns, beats.there).ordinary
    rr = np.diff(beats.times_ns, axis=-1) / NS_PER_MS
    early = np.zeros(odd.shape, np.bool_)
    early[:, 1:-1] = odd[:, 1:-1] & (rr[:, :-1] < EARLY * rr[:, 1:])
    # The newest beat's pause is not over: it counts by its kind and by the interval before it.
    early[:, -1] = odd[:, -1] & (rr[:, -1] < EARLY * rr[:, -2])
    pair = np.zeros(odd.shape, np.bool_)  # ends here
    pair[:, 1:] = early[:, 1:] & beats.there[:, :-1] & ~odd[:, :-1]
    # Either the newest beat ends a pair, or it begins the next one.
    last = odd.shape[-1] - 1
    n_pairs, before = _pairs(pair, last), _pairs(pair, last - 1)
    begins = ~odd[:, -1] & (before > n_pairs)
    n_pairs = np.where(begins, before, n_pairs)
    first = np.where(begins, last - 1, last) - 2 * n_pairs + 1
    known = beats.there[:, -2 * BIGEMINY_PAIRS] & (beats.times_ns[:, -1] >= as_of_ns - STALE_NS)
    true = known & (n_pairs >= BIGEMINY_PAIRS)
    onset = np.take_along_axis(beats.times_ns, np.clip(first, 0, last)[:, None], axis=-1)[:, 0]
    return Evidence(
        known=known,
        true=true,
        onset_ns=np.where(true, onset, 0),
        value=np.where(known, n_pairs.astype(np.float64), np.nan),
        limit=np.full(as_of_ns.shape, float(BIGEMINY_PAIRS)),
        quality=np.where(known, beats.quality[:, -2 * BIGEMINY_PAIRS :].mean(axis=-1), 0.0),
    )


def _pairs(pair: BoolArray, end: int) -> IntArray:
    """How many pairs in a row end at the beat `end`, at the one two before it, and so on."""
    n: IntArray = np.logical_and.accumulate(pair[:, end::-2], axis=-1).sum(axis=-1)
    return n


def run(ring: BeatRing, ventricular: BoolArray, as_of_ns: IntArray, since_ns: IntArray) -> Evidence:
    """Three ventricular beats or more that follow each other at over 100 bpm, for 10 s after the last of them.

    `value` and `limit` are beats, `value` those of the longest run. The onset is the first beat of the first run that
    still holds. Known with a beat younger than 4 s.

    Parameters
    ----------
    ring
        Rows of a ring of beats.
    ventricular : ndarray of bool, shape (n_devices, n_kept)
        Beats of the ring that are ventricular; what is not classed yet is none.
    as_of_ns, since_ns : ndarray of int, shape (n_devices,)
        As in `conditions.asystole`.
    """
    inside = (ring.times_ns > 0) & (ring.times_ns >= since_ns[:, None]) & (ring.times_ns <= as_of_ns[:, None])
    beats = inside & ventricular
    follows = np.zeros(beats.shape, np.bool_)  # on a ventricular beat, fast enough
    follows[:, 1:] = beats[:, 1:] & beats[:, :-1] & (np.diff(ring.times_ns, axis=-1) < RUN_LONGEST_NS)
    place = np.arange(beats.shape[-1])
    # Where the run that a beat is in began: at the last beat that follows none.
    began = np.maximum.accumulate(np.where(follows, -1, place), axis=-1)
    n_beats = np.where(beats, place - began + 1, 0)
    young = ring.times_ns > (as_of_ns - RUN_HELD_NS)[:, None]
    told = young & (n_beats >= RUN_BEATS)
    last = np.where(inside, ring.times_ns, 0).max(axis=-1)
    known = (last > 0) & (last >= as_of_ns - STALE_NS)
    true = known & told.any(axis=-1)
    first = np.take_along_axis(began, np.argmax(told, axis=-1)[:, None], axis=-1)
    onset = np.take_along_axis(ring.times_ns, first, axis=-1)[:, 0]
    quality = np.where(told, ring.quality, 0.0).sum(axis=-1) / np.maximum(np.count_nonzero(told, axis=-1), 1)
    return Evidence(
        known=known,
        true=true,
        onset_ns=np.where(true, onset, 0),
        value=np.where(known, np.where(young, n_beats, 0).max(axis=-1).astype(np.float64), np.nan),
        limit=np.full(as_of_ns.shape, float(RUN_BEATS)),
        quality=quality.astype(np.float64),
    )
