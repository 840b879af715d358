"""The newest beats of every row, and heart rate and its variability as of a time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray

RING = 256  # beats kept: 60 s at 220 bpm are 221
SAME_BEAT_NS = 200_000_000  # two detections nearer than this are one beat: the heart cannot do it
RATE_INTERVALS = 8  # the heart rate is made from so many intervals
RATE_SPAN_NS = 10_000_000_000  # of which none begins earlier than this
RATE_LEAST = 2  # and of which there must be so many
STALE_NS = 4_000_000_000  # a heart without a beat for so long has no rate: asystole says so
VARIABILITY_SPAN_NS = 60_000_000_000
VARIABILITY_LEAST = 10  # intervals
PLAUSIBLE_MS = (300.0, 2000.0)  # outside this an interval holds a missed or an invented beat
JUMP = 0.3  # an interval that differs by more from the one before it is not a sinus interval
# Shares of the usual interval: one that is off by the first, while all others are by no more than the second.
STANDS_OUT, STEADY = 0.35, 0.12
NS_PER_MS = 1e6


class BeatRing(NamedTuple):
    """The newest beats of every row, oldest first; places not yet taken hold 0 and lie in front."""

    times_ns: IntArray  # (n_devices, n_kept) corrected time, ascending
    quality: NDArray[np.float32]  # (n_devices, n_kept) 0..1
    marks: NDArray[np.float16]  # (n_devices, n_kept, n_marks) what else is kept of a beat, as whoever pushes it says


class IntervalsOut(NamedTuple):
    """Heart rate and its variability as of a time; NaN where they cannot be measured.

    The standard uncertainties hold the timing jitter of the sensor and the spread of the intervals that an estimate
    from so few of them has; not the chance that a beat was missed, which is what the quality is for.
    """

    hr_bpm: Array  # (n_devices,)
    hr_u: Array
    hr_scatter_u: Array  # what the intervals' own scatter would make of it: a beat missed or invented shows here
    rr_ms: Array  # newest interval
    rr_u: Array
    rmssd_ms: Array  # over the last 60 s
    rmssd_u: Array
    sdnn_ms: Array  # over the last 60 s
    sdnn_u: Array
    n_beats: IntArray  # in the last 60 s
    last_beat_ns: IntArray  # 0: none
    quality: Array  # mean quality of the beats that the heart rate is made from, 0 without one


class Beats(NamedTuple):
    """A given number of beats up to a time, oldest first."""

    times_ns: IntArray  # (n_devices, n_wanted) 0 where there are fewer
    there: BoolArray  # (n_devices, n_wanted)
    quality: Array  # (n_devices, n_wanted) 0 where there is none


def empty(n_devices: int, n_kept: int = RING, n_marks: int = 0) -> BeatRing:
    """Rings without a beat."""
    shape = (n_devices, n_kept)
    return BeatRing(np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.zeros((*shape, n_marks), np.float16))


def push(ring: BeatRing, at_ns: IntArray, quality: Array, marks: NDArray[np.float16] | None = None) -> BeatRing:
    """Rings with new beats in their place.

    A beat found by search-back may be older than the newest; it is sorted in. A beat within 200 ms of one that is
    there already is the same beat seen twice: the one that is there stays, because a rate may have been made from it.
    A beat older than everything in a full ring is dropped.

    Parameters
    ----------
    ring
        Rows of a ring.
    at_ns : ndarray of int, shape (n_devices, n_new)
        Corrected times; 0 or less where there is none. Earlier columns go first.
    quality : ndarray, shape (n_devices, n_new)
        0..1.
    marks : ndarray of float16, shape (n_devices, n_new, n_marks), optional
        Zeros where they are left out.
    """
    times, held, marked = ring
    columns = np.flatnonzero((at_ns > 0).any(axis=0))
    if len(columns):
        times, held, marked = times.copy(), held.copy(), marked.copy()
    for column in columns:
        row = np.flatnonzero(at_ns[:, column] > 0)
        at, old, old_quality = at_ns[row, column, None], times[row], held[row]
        new = ~((old > 0) & (np.abs(old - at) < SAME_BEAT_NS)).any(axis=-1, keepdims=True)
        # Everything earlier moves one place to the front; the earliest falls out.
        before = np.where(new, np.count_nonzero(old < at, axis=-1)[:, None] - 1, -1)
        place = np.arange(old.shape[1])
        here, move = place == before, (place < before)[:, :-1]
        times[row] = np.where(here, at, old)
        times[row, :-1] = np.where(move, old[:, 1:], times[row, :-1])
        held[row] = np.where(here, quality[row, column, None].astype(np.float32), old_quality)
        held[row, :-1] = np.where(move, old_quality[:, 1:], held[row, :-1])
        if marked.shape[-1]:
            old_marks = marked[row]
            new_marks = np.zeros_like(old_marks[:, :1]) if marks is None else marks[row, column, None]
            marked[row] = np.where(here[..., None], new_marks, old_marks)
            marked[row, :-1] = np.where(move[..., None], old_marks[:, 1:], marked[row, :-1])
    return BeatRing(times, held, marked)


def young_rate(ring: BeatRing, as_of_ns: IntArray, n_beats: int, within_ns: int) -> Array:
    """Rate over the last `n_beats` beats, 1/min; NaN where there are fewer, or the newest is older than `within_ns`.

    Examples
    --------
    >>> second = 1_000_000_000
    >>> ring = push(empty(1), np.array([[1, 2, 3]]) * second, np.ones((1, 3)))
    >>> young_rate(ring, np.array([4]) * second, 3, 2 * second).tolist()
    [60.0]
    """
    last = newest(ring, as_of_ns, n_beats)
    young = last.there[:, 0] & (last.times_ns[:, -1] >= as_of_ns - within_ns)
    span = (last.times_ns[:, -1] - last.times_ns[:, 0]) / 1e9
    return np.where(young, 60.0 * (n_beats - 1) / np.where(young, span, 1.0), np.nan)


def newest(ring: BeatRing, as_of_ns: IntArray, n_wanted: int, since_ns: IntArray | None = None) -> Beats:
    """Return the last beats at or before a time.

    Parameters
    ----------
    ring
        Rows of a ring.
    as_of_ns : ndarray of int, shape (n_devices,)
        Later beats are left out.
    n_wanted
        How many.
    since_ns : ndarray of int, shape (n_devices,), optional
        Start of the unbroken evidence: earlier beats are left out, because an interval across a gap is none.
    """
    past = np.count_nonzero(ring.times_ns <= as_of_ns[:, None], axis=-1)
    source = past[:, None] - n_wanted + np.arange(n_wanted)
    times = np.take_along_axis(ring.times_ns, np.maximum(source, 0), axis=-1)
    there = (source >= 0) & (times > 0)
    if since_ns is not None:
        there &= times >= since_ns[:, None]
    quality = np.take_along_axis(ring.quality, np.maximum(source, 0), axis=-1).astype(np.float64)
    return Beats(np.where(there, times, 0), there, np.where(there, quality, 0.0))


def heart_rate(beats: Beats, as_of_ns: IntArray) -> tuple[Array, Array, IntArray]:
    """Return heart rate, spread of its intervals and their number.

    The rule, which the truth shares: 60 over the mean of the last 8 RR intervals, leaving out those that begin more
    than 10 s before `as_of_ns`; NaN with fewer than 2 intervals, or when the last beat is more than 4 s old.

    Parameters
    ----------
    beats
        The last 9 beats at or before `as_of_ns`, as from `newest`.
    as_of_ns : ndarray of int, shape (n_devices,)
        The time for which the rate is wanted.

    Returns
    -------
    hr_bpm : ndarray, shape (n_devices,)
        Beats per minute.
    spread_ms : ndarray, shape (n_devices,)
        Standard deviation of the intervals.
    n_intervals : ndarray of int, shape (n_devices,)
        0 where `hr_bpm` is NaN.
    """
    rr = np.diff(beats.times_ns, axis=-1) / NS_PER_MS
    used = beats.there[:, :-1] & (beats.times_ns[:, :-1] >= (as_of_ns - RATE_SPAN_NS)[:, None])
    n = np.count_nonzero(used, axis=-1)
    known = (n >= RATE_LEAST) & (beats.times_ns[:, -1] >= as_of_ns - STALE_NS)
    n = np.where(known, n, 0)
    mean, spread = _mean_and_spread(rr, used & known[:, None], n)
    return 60_000.0 / mean, spread, n


def summary(
    ring: BeatRing,
    as_of_ns: IntArray,
    timing_u_ms: Array | float = 1.0,
    since_ns: IntArray | None = None,
    ectopic: BoolArray | None = None,
    lag: float = 0.0,
) -> IntervalsOut:
    """Return heart rate and variability from the beats at or before a time.

    RMSSD and SDNN are taken over the last 60 s, from intervals between 300 and 2000 ms that differ by at most 30 %
    from the interval before them (an ectopic beat and the pause after it fail); RMSSD from pairs of such intervals that
    follow each other. Neither is given with fewer than 10.

    Parameters
    ----------
    ring
        Rows of a ring.
    as_of_ns : ndarray of int, shape (n_devices,)
        Later beats are left out.
    timing_u_ms : ndarray, shape (n_devices,), or float
        Standard uncertainty of the time of one beat.
    since_ns : ndarray of int, shape (n_devices,), optional
        Start of the unbroken evidence; earlier beats are left out.
    ectopic : ndarray of bool, shape (n_devices, n_kept), optional
        Beats of the ring that are known not to be normal: no interval that begins or ends with one counts for the
        variability.
    lag
        How often the newest interval is not there yet though the heart has ended it, as with a pulse, which travels:
        0 never, 1 always.

    References
    ----------
    Task Force of the ESC and NASPE, Heart rate variability, Circulation 93 (1996), doi:10.1161/01.CIR.93.5.1043.
    Differs from it in: 60 s instead of 5 min, and NN intervals are told by their length too.
    """
    jitter = np.broadcast_to(np.asarray(timing_u_ms, np.float64), as_of_ns.shape)
    beats = newest(ring, as_of_ns, RATE_INTERVALS + 1, since_ns)
    hr, spread, n = heart_rate(beats, as_of_ns)
    known = n > 0
    least = np.maximum(n, 1)
    # The mean interval is (last - first) / n: the jitter of two beats. What the heart does to its intervals is no
    # uncertainty of their mean, but a single one that stands out of steady ones may be a beat missed or invented.
    scatter = spread / np.sqrt(least)
    mean_u = np.hypot(np.sqrt(2.0) * jitter / least, np.where(_one_stands_out(beats, n), scatter, 0.0))
    mean_u = np.hypot(mean_u, lag * np.sqrt(2.0) * spread / least)
    last = beats.times_ns[:, -1]
    has_rr = beats.there[:, -2] & (last >= as_of_ns - RATE_SPAN_NS)
    rmssd, rmssd_u, sdnn, sdnn_u, n_beats = _variability(ring, as_of_ns, jitter, since_ns, ectopic)
    in_rate = beats.there & (np.arange(RATE_INTERVALS + 1) >= (RATE_INTERVALS - n)[:, None]) & known[:, None]
    quality = np.where(in_rate, beats.quality, 0.0).sum(axis=-1) / np.maximum(np.count_nonzero(in_rate, axis=-1), 1)
    return IntervalsOut(
        hr_bpm=hr,
        hr_u=hr * hr / 60_000.0 * mean_u,
        hr_scatter_u=hr * hr / 60_000.0 * np.hypot(np.sqrt(2.0) * jitter / least, scatter),
        rr_ms=np.where(has_rr, (last - beats.times_ns[:, -2]) / NS_PER_MS, np.nan),
        rr_u=np.where(has_rr, np.sqrt(2.0) * jitter, np.nan),
        rmssd_ms=rmssd,
        rmssd_u=rmssd_u,
        sdnn_ms=sdnn,
        sdnn_u=sdnn_u,
        n_beats=n_beats,
        last_beat_ns=last,
        quality=quality,
    )


def _one_stands_out(beats: Beats, n: IntArray) -> BoolArray:
    """Whether one of the intervals of a rate differs much from the others, and these little from each other."""
    rr = np.diff(beats.times_ns, axis=-1) / NS_PER_MS
    used = beats.there[:, :-1] & (np.arange(rr.shape[-1]) >= (rr.shape[-1] - n)[:, None])
    ordered = np.sort(np.where(used, rr, np.inf), axis=-1)
    row = np.arange(len(rr))
    usual = ordered[row, np.maximum(n - 1, 0) // 2]
    off = np.where(used, np.abs(rr - usual[:, None]), 0.0)
    worst = np.sort(off, axis=-1)[:, ::-1]
    stands: BoolArray = (n > 2) & (worst[:, 0] > STANDS_OUT * usual) & (worst[:, 1] < STEADY * usual)
    return stands


def _variability(
    ring: BeatRing, as_of_ns: IntArray, jitter: Array, since_ns: IntArray | None, ectopic: BoolArray | None
) -> tuple[Array, Array, Array, Array, IntArray]:
    start = as_of_ns - VARIABILITY_SPAN_NS
    since = np.maximum(start, 1) if since_ns is None else np.maximum(np.maximum(start, since_ns), 1)
    inside = (ring.times_ns >= since[:, None]) & (ring.times_ns <= as_of_ns[:, None])
    rr = np.diff(ring.times_ns, axis=-1) / NS_PER_MS
    plausible = inside[:, :-1] & inside[:, 1:] & (rr >= PLAUSIBLE_MS[0]) & (rr <= PLAUSIBLE_MS[1])
    if ectopic is not None:
        plausible &= ~(ectopic[:, :-1] | ectopic[:, 1:])
    step = np.diff(rr, axis=-1)
    nn = plausible[:, 1:] & plausible[:, :-1] & (np.abs(step) <= JUMP * rr[:, :-1])
    n_nn = np.count_nonzero(nn, axis=-1)
    _, sdnn = _mean_and_spread(rr[:, 1:], nn, np.where(n_nn >= VARIABILITY_LEAST, n_nn, 0))
    pair = nn[:, 1:] & nn[:, :-1]
    n_pairs = np.count_nonzero(pair, axis=-1)
    n_pairs = np.where((n_nn >= VARIABILITY_LEAST) & (n_pairs >= VARIABILITY_LEAST - 1), n_pairs, 0)
    square = np.where(pair, step[:, 1:], 0.0) ** 2
    rmssd = np.sqrt(square.sum(axis=-1) / np.where(n_pairs > 0, n_pairs, np.nan))
    # Jitter of single beats adds 2 u^2 to the variance of an interval and 6 u^2 to that of a difference of two.
    sdnn_u = _spread_u(sdnn, n_nn, 2.0 * jitter**2)
    rmssd_u = _spread_u(rmssd, n_pairs, 6.0 * jitter**2)
    return rmssd, rmssd_u, sdnn, sdnn_u, np.count_nonzero(inside, axis=-1)


def _mean_and_spread(values: Array, used: BoolArray, n: IntArray) -> tuple[Array, Array]:
    """Mean and standard deviation (n - 1) of the values used; NaN where n is 0."""
    count = np.where(n > 0, n, np.nan)
    mean = np.where(used, values, 0.0).sum(axis=-1) / count
    square = np.where(used, values - mean[:, None], 0.0) ** 2
    return mean, np.sqrt(square.sum(axis=-1) / np.where(n > 1, n - 1, np.nan))


def _spread_u(spread: Array, n: IntArray, added: Array) -> Array:
    """Uncertainty of a standard deviation: of the sample, and of what jitter `added` to its square."""
    bias = spread - np.sqrt(np.maximum(spread * spread - added, 0.0))
    return np.hypot(spread / np.sqrt(2.0 * np.maximum(n - 1, 1)), bias)
