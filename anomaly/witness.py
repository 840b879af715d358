"""What one sensor's beats say of the last seconds: did they pause, how slow, how fast, did they keep step."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.conditions import BRADYCARDIA_BEATS
from anomaly.intervals import BeatRing, newest
from anomaly.kernel import Array, BoolArray, IntArray

KEPT = 64  # beats looked through: 14 s at 220 bpm are 51, and the 12 before them
FAST_BEATS = 13  # a rate over so many beats is a tachycardia's: of the 17 of its definition a bedside takes fewer
STEP_BEATS = 6  # with fewer beats nothing is known of their step


class Heard(NamedTuple):
    """What the beats of one sensor say of a look-back, shape (n_devices,) each; NaN where there are too few beats."""

    trust: Array  # mean quality of the beats, 0 without any
    pause_s: Array  # longest time without a beat that is believed
    slowest_bpm: Array  # lowest rate over 5 beats
    fastest_bpm: Array  # highest rate over 13 beats
    burst_bpm: Array  # highest rate over 5 beats
    unsteady: Array  # largest departure of an interval from the median one, and loss of height, as shares of them


@dataclass(frozen=True)
class Witness:
    """Hear one sensor out on the last seconds.

    An alarm of the heart is seen by an electrode, a magnetometer, a light and a pressure in different ways, and what
    disturbs one of them seldom disturbs another in the same way. So each is heard by itself, and `anomaly.judgement`
    weighs what they say.

    Parameters
    ----------
    span_s
        Length of the look-back. A monitor may raise an alarm up to 10 s after it came true, and what made it true
        began before that.
    believed
        Quality from which on a beat ends a pause.
    pause_span_s
        Length of the look-back for pauses; None: the same.

    Examples
    --------
    Pulses every 0.8 s, one of them missing:

    >>> from anomaly.intervals import empty, push
    >>> at = (100.0 + 0.8 * np.delete(np.arange(20), 12)) * 1e9
    >>> ring = push(empty(1, 64), at.astype(np.int64)[None], np.ones((1, 19)))
    >>> heard = Witness(span_s=14.0).hear(ring, np.array([115_500_000_000]))
    >>> [round(float(x[0]), 2) for x in (heard.trust, heard.pause_s, heard.slowest_bpm, heard.unsteady)]
    [1.0, 1.6, 60.0, 1.0]
    """

    span_s: float = 14.0
    believed: float = 0.5
    pause_span_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse a look-back that holds nothing."""
        if not (0.0 < self.span_s <= 60.0 and 0.0 <= self.believed <= 1.0):
            raise ValueError(f"need 0 < span_s={self.span_s} <= 60 and 0 <= believed={self.believed} <= 1")
        if not 0.0 < self._pause_span_s <= self.span_s:
            raise ValueError(f"need 0 < pause_span_s={self.pause_span_s} <= span_s={self.span_s}")

    @property
    def _pause_span_s(self) -> float:
        return self.span_s if self.pause_span_s is None else self.pause_span_s

    def hear(self, ring: BeatRing, as_of_ns: IntArray) -> Heard:
        """Sum up the beats at or before a time.

        Parameters
        ----------
        ring
            Rows of a ring of beats. Where it keeps marks, the first is a beat's height, which in light and pressure
            tells how much blood it moved.
        as_of_ns : ndarray of int, shape (n_devices,)
            Time up to which the signal was searched.
        """
        beats = newest(ring, as_of_ns, KEPT)
        age_s = (as_of_ns[:, None] - beats.times_ns) / 1e9
        inside = beats.there & (age_s < self.span_s)
        n = np.count_nonzero(inside, axis=-1)
        lost: Array | float = 0.0
        if ring.marks.shape[-1]:
            heights = newest(ring._replace(quality=ring.marks[..., 0].astype(np.float32)), as_of_ns, KEPT).quality
            lost = np.maximum(1.0 - np.where(inside, heights, np.inf).min(axis=-1) / _median(heights, inside), 0.0)
        return Heard(
            trust=np.where(inside, beats.quality, 0.0).sum(axis=-1) / np.maximum(n, 1),
            pause_s=self._pause(age_s, inside & (age_s < self._pause_span_s) & (beats.quality >= self.believed)),
            slowest_bpm=_rate(age_s, beats.there, inside, BRADYCARDIA_BEATS, -1.0),
            fastest_bpm=_rate(age_s, beats.there, inside, FAST_BEATS, 1.0),
            burst_bpm=_rate(age_s, beats.there, inside, BRADYCARDIA_BEATS, 1.0),
            unsteady=_unsteady(age_s, inside) + lost,
        )

    def _pause(self, age_s: Array, heard: BoolArray) -> Array:
        """Longest time between believed beats; the edges of the look-back are as good as one."""
        age = np.where(heard, age_s, 0.0)
        first = age.max(axis=-1, initial=0.0)
        # The oldest of the believed beats after each one is the next.
        after = np.maximum.accumulate(age[:, ::-1], axis=-1)[:, ::-1]
        following = np.concatenate([after[:, 1:], np.zeros((len(age), 1))], axis=-1)
        between = np.where(heard, age - following, 0.0).max(axis=-1, initial=0.0)
        pause: Array = np.maximum(between, self._pause_span_s - first)
        return pause


def _rate(age_s: Array, there: BoolArray, inside: BoolArray, n_beats: int, sign: float) -> Array:
    """Extreme rate over `n_beats` that end in the look-back; NaN where there is none."""
    whole = there[:, : 1 - n_beats] & inside[:, n_beats - 1 :]
    span = age_s[:, : 1 - n_beats] - age_s[:, n_beats - 1 :]
    rate = np.where(whole, 60.0 * (n_beats - 1) / np.where(whole, span, 1.0), -sign * np.inf)
    found: Array = sign * (sign * rate).max(axis=-1)
    return np.where(whole.any(axis=-1), found, np.nan)


def _unsteady(age_s: Array, inside: BoolArray) -> Array:
    """Largest departure from the median interval, the one that has not ended yet being one if it is longer."""
    used = inside[:, 1:] & inside[:, :-1]
    interval = age_s[:, :-1] - age_s[:, 1:]
    usual = _median(interval, used)
    widest = np.where(used, np.abs(interval - usual[:, None]), 0.0).max(axis=-1)
    departure: Array = np.maximum(widest, age_s[:, -1] - usual) / usual
    return departure


def _median(values: Array, used: BoolArray) -> Array:
    """Lower median of the values used; NaN with too few to know what is usual."""
    n = np.count_nonzero(used, axis=-1)
    ordered = np.sort(np.where(used, values, np.inf), axis=-1)
    middle = np.take_along_axis(ordered, np.maximum(n - 1, 0)[:, None] // 2, axis=-1)[:, 0]
    return np.where(n >= STEP_BEATS - 1, middle, np.nan)
