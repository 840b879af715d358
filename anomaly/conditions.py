"""Asystole, extreme bradycardia and extreme tachycardia: what the newest beats prove as of a time."""

from typing import NamedTuple

import numpy as np

from anomaly.intervals import STALE_NS, BeatRing, newest
from anomaly.kernel import Array, BoolArray, IntArray

ASYSTOLE_NS = 4_000_000_000
BRADYCARDIA_BPM = 40.0
BRADYCARDIA_END_BPM = 42.0
BRADYCARDIA_BEATS = 5
TACHYCARDIA_BPM = 140.0
TACHYCARDIA_END_BPM = 137.0
TACHYCARDIA_BEATS = 17
LOOK_BACK = 64  # beats searched for the beginning of an episode; the onset of a longer one moves along with the ring


class Evidence(NamedTuple):
    """What is known of one condition as of a time."""

    known: BoolArray  # (n_devices,) False: there is not enough to tell; `true` is False then
    true: BoolArray  # (n_devices,)
    onset_ns: IntArray  # (n_devices,) when it became true by its definition; 0 where it is not true
    value: Array  # (n_devices,) what was compared; NaN where nothing was
    limit: Array  # (n_devices,) what it was compared with, same unit
    quality: Array  # (n_devices,) mean quality of the beats that it rests on, 0..1


def asystole(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Evidence:
    """No beat for 4 s.

    Absence needs a beginning: the last beat, or the start of unbroken evidence if that is later. The onset is 4 s
    after it. Where no beat has come since that start, nothing is known until then: the heart may have stood still
    before, and evidence that begins anew does not make it beat. `value` and `limit` are seconds without a beat;
    `quality` is that of the last beat, 0 without one (how far absence can be believed is for the signal's quality to
    say).

    Parameters
    ----------
    ring
        Rows of a ring of beats.
    as_of_ns : ndarray of int, shape (n_devices,)
        Corrected time up to which the signal was searched for beats.
    since_ns : ndarray of int, shape (n_devices,)
        Start of the unbroken evidence (end of settling); later than `as_of_ns`: nothing is known.
    """
    last = newest(ring, as_of_ns, 1)
    base = np.maximum(last.times_ns[:, 0], since_ns)
    true = (since_ns <= as_of_ns) & (as_of_ns - base >= ASYSTOLE_NS)
    known = true | ((since_ns <= as_of_ns) & (last.times_ns[:, 0] >= since_ns))
    return Evidence(
        known=known,
        true=true,
        onset_ns=np.where(true, base + ASYSTOLE_NS, 0),
        value=np.where(known, (as_of_ns - base) / 1e9, np.nan),
        limit=np.full(as_of_ns.shape, ASYSTOLE_NS / 1e9),
        quality=last.quality[:, 0],
    )


def extreme_bradycardia(
    ring: BeatRing,
    as_of_ns: IntArray,
    since_ns: IntArray,
    limit_bpm: Array | float = BRADYCARDIA_BPM,
    end_bpm: Array | float = BRADYCARDIA_END_BPM,
) -> Evidence:
    """Rate under 40 bpm over 5 beats.

    The rate over 5 beats is that of the 4 intervals between them, 60 * 4 / (t5 - t1) [PhysioNet/CinC 2015: "heart rate
    lower than 40 bpm for 5 consecutive beats"]. It became true at the fifth beat of the first such five, and ends at a
    beat whose five have 42 bpm or more. Unknown with fewer than 5 beats of unbroken evidence, while a pause of 4 s lies
    between them, and when the newest beat is more than 4 s old (asystole speaks then).

    Parameters
    ----------
    ring
        Rows of a ring of beats.
    as_of_ns, since_ns : ndarray of int, shape (n_devices,)
        As in `asystole`.
    limit_bpm, end_bpm : ndarray, shape (n_devices,), or float
        Begins under the one and ends at or over the other.
    """
    return _over_beats(ring, as_of_ns, since_ns, BRADYCARDIA_BEATS, (limit_bpm, end_bpm, -1.0))


def extreme_tachycardia(
    ring: BeatRing,
    as_of_ns: IntArray,
    since_ns: IntArray,
    limit_bpm: Array | float = TACHYCARDIA_BPM,
    end_bpm: Array | float = TACHYCARDIA_END_BPM,
) -> Evidence:
    """Rate over 140 bpm over 17 beats: the 16 intervals between them; ends at 137 bpm or less.

    Otherwise as `extreme_bradycardia`.
    """
    return _over_beats(ring, as_of_ns, since_ns, TACHYCARDIA_BEATS, (limit_bpm, end_bpm, 1.0))


def _over_beats(
    ring: BeatRing,
    as_of_ns: IntArray,
    since_ns: IntArray,
    n_beats: int,
    limits: tuple[Array | float, Array | float, float],
) -> Evidence:
    """Rates over `n_beats` that end at each beat, and the episode with hysteresis that the newest of them is in."""
    begin, end, sign = limits
    limit = np.broadcast_to(np.asarray(begin, np.float64), as_of_ns.shape)
    stop = np.broadcast_to(np.asarray(end, np.float64), as_of_ns.shape)
    beats = newest(ring, as_of_ns, LOOK_BACK + n_beats - 1, since_ns)
    # The first beat of a window is there: so are the later ones. A pause that was an asystole is no slow beat.
    paused = np.cumsum(np.diff(beats.times_ns, axis=-1, prepend=beats.times_ns[:, :1]) >= ASYSTOLE_NS, axis=-1)
    whole = beats.there[:, : 1 - n_beats] & (paused[:, n_beats - 1 :] == paused[:, : 1 - n_beats])
    # Divided, not multiplied by 1e-9: a rate that is exactly the limit must come out as exactly that.
    span = (beats.times_ns[:, n_beats - 1 :] - beats.times_ns[:, : 1 - n_beats]) / 1e9
    rate = np.where(whole, 60.0 * (n_beats - 1) / np.where(whole, span, 1.0), np.nan)
    beyond = whole & (sign * rate > (sign * limit)[:, None])
    back = ~whole | (sign * rate <= (sign * stop)[:, None])  # before the first window nothing had begun
    place = np.arange(LOOK_BACK)
    last_back = np.where(back, place, -1).max(axis=-1)
    began = beyond & (place > last_back[:, None])
    known = whole[:, -1] & (beats.times_ns[:, -1] >= as_of_ns - STALE_NS)
    true = known & began.any(axis=-1)
    onset = np.take_along_axis(beats.times_ns, np.argmax(began, axis=-1)[:, None] + n_beats - 1, axis=-1)[:, 0]
    return Evidence(
        known=known,
        true=true,
        onset_ns=np.where(true, onset, 0),
        value=np.where(known, rate[:, -1], np.nan),
        limit=limit.copy(),
        quality=np.where(known, beats.quality[:, -n_beats:].mean(axis=-1), 0.0),
    )
