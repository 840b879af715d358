"""QT of averaged beats: from the onset of the QRS to where the tangent to the end of T meets the level before it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.median import median

FROM_S, TO_S = -0.2, 0.62  # of the R peak: what is averaged
LEVEL_S = (-0.078, -0.058)  # between P wave and QRS: nothing is active there
ONSET_FROM_S = -0.1
QRS_S = 0.06  # the steepest slope of a QRS lies so near to its R peak
ONSET = 0.04  # of the steepest slope, from which on a QRS has begun
T_FROM_S, T_TO_S, T_TO_SHARE = 0.14, 0.5, 0.62  # where a T wave has its top: seconds, and share of the interval
DOWN_S = 0.16  # its steepest slope after the top lies so near to it
FIT_S = 0.02  # half of what the tangent is laid on
LEAST: Final = 8  # beats in all
LEAST_LOOKS: Final = 3  # averages, from which on they tell how sure their mean is
APART = 2.0  # an unlike beat differs from the average by so many times as much as usual: it is left out
CLEAR: Final = 6.0  # steepest slope of the T wave over its uncertainty, from which on there is one to be measured
ONSET_CLEAR: Final = 0.5  # of the onset's threshold: more noise than that moves it
ONSET_BEFORE_NEXT_S: Final = 0.14  # the next P wave begins so long before the next R peak: T is over by then
FLOOR_MS: Final = 4.0  # of one average: samples of 8 ms, and what a definition leaves open
# By so much an uncertainty grows that was told by 2, 3, ... averages: Student's quantile over the normal one.
FEW: Final = (6.48, 2.20, 1.62, 1.42, 1.31)
MOST_U_MS: Final = 20.0  # what is less sure is not told


class QtOut(NamedTuple):
    """Shape (n,) each."""

    ms: Array  # NaN where it could not be measured
    u_ms: Array


@dataclass(frozen=True)
class QtMeter:
    """Measure QT on the average of the beats that are like each other.

    Parameters
    ----------
    rate_hz
        Of the lead, which holds the T wave and has no more than 40 Hz of the QRS.
    high_hz
        Corner of the first-order high-pass that the lead came through; its bend is taken back.

    Notes
    -----
    The onset of the QRS is the last place before it where the slope is under 4 % of the steepest. The end of T is where
    the tangent at the steepest slope after its top meets the level between P wave and QRS. Both are found between
    samples. The uncertainty is what single beats, over the root of their number, make of the tangent by their level and
    slope, and a floor.

    References
    ----------
    Lepeschkin & Surawicz 1952, doi:10.1161/01.CIR.6.3.378, for the tangent. Vazquez-Seisdedos et al. 2011,
    doi:10.1186/1475-925X-10-77, for how much an average and a robust end matter. Differs from both in: averaged beats
    of one lead, and an uncertainty of each value.
    """

    rate_hz: float = 125.0
    high_hz: float = 0.25

    @property
    def n_samples(self) -> int:
        """Samples of an averaged beat."""
        return len(self._offsets)

    def average(self, lead: NDArray[np.float32], at: Array) -> tuple[Array, IntArray]:
        """Average the beats that are like each other.

        Parameters
        ----------
        lead : ndarray, shape (n, n_samples)
            The last seconds; NaN where there is nothing.
        at : ndarray, shape (n, n_beats)
            Places of the R peaks of normal beats in it, samples; NaN: none.

        Returns
        -------
        mean : ndarray, shape (n, n_samples)
            From 0.2 s before the R peak; 0 where there is none.
        n_beats : ndarray of int, shape (n,)
            That were averaged.
        """
        beats, used = self._cut(lead, at)
        used = _alike(beats, used)
        return _mean(beats, used), np.count_nonzero(used, axis=-1)

    def measure(self, means: Array, n_beats: IntArray, rr_s: Array) -> QtOut:
        """Measure on the average of averages, and by them how sure that is.

        Parameters
        ----------
        means : ndarray, shape (n, n_looks, n_samples)
            Averaged beats.
        n_beats : ndarray of int, shape (n, n_looks)
            In each of them; 0: there is none.
        rr_s : ndarray, shape (n,)
            Usual interval.
        """
        used = _alike(means, n_beats > 0)
        mean = _mean(means, used)
        # The high-pass has bent the level by what was before: a T wave would pull its own end along.
        mean = mean + np.cumsum(mean, axis=-1) * (2.0 * np.pi * self.high_hz / self.rate_hz)
        mean = mean - mean[:, self._level].mean(axis=-1, keepdims=True)
        onset, onset_clear = self._onset(mean, _spread(np.diff(means[..., self._before]), used))
        end, end_u = self._end(mean, means, used, rr_s)
        n_looks = np.count_nonzero(used, axis=-1)
        few = np.array(FEW)[np.minimum(np.maximum(n_looks - 2, 0), len(FEW) - 1)]
        ms, u_ms = 1e3 * (end - onset), np.hypot(FLOOR_MS, 1e3 * few * end_u)
        enough = (n_looks >= LEAST_LOOKS) & (np.where(used, n_beats, 0).sum(axis=-1) >= LEAST)
        known = enough & onset_clear & np.isfinite(ms) & (u_ms <= MOST_U_MS)
        return QtOut(np.where(known, ms, np.nan), np.where(known, u_ms, np.nan))

    def _cut(self, lead: NDArray[np.float32], at: Array) -> tuple[Array, BoolArray]:
        """Beats of each row, shape ``(n, n_beats, n_samples)``, and which of them are whole."""
        place = np.nan_to_num(at, nan=-1e6)
        whole = np.floor(place)
        share = (place - whole)[..., None]
        number = whole.astype(np.int64)[..., None] + self._offsets
        inside = (number[..., 0] >= 0) & (number[..., -1] + 1 < lead.shape[-1])
        number = np.where(inside[..., None], number, 0)
        row = np.arange(len(lead))[:, None, None]
        x, y = (lead[row, number + k].astype(np.float64) for k in (0, 1))
        wave = x + share * (y - x)
        inside &= np.isfinite(wave).all(axis=-1)
        return np.where(inside[..., None], wave, 0.0), inside

    def _onset(self, mean: Array, noise: Array) -> tuple[Array, BoolArray]:
        """Seconds from the R peak to the onset of the QRS, and whether the noise leaves it where it is."""
        slope = np.abs(np.diff(mean, axis=-1))  # slope[k] lies between k and k + 1
        near = slice(self._index(-QRS_S), self._index(QRS_S))
        row = np.arange(len(mean))
        steepest = near.start + np.argmax(slope[:, near], axis=-1)
        limit = ONSET * slope[row, steepest]
        first = self._index(ONSET_FROM_S)
        place = np.arange(slope.shape[-1])
        quiet = (slope < limit[:, None]) & (place >= first) & (place < steepest[:, None])
        quiet[:, 2:] &= quiet[:, 1:-1] & quiet[:, :-2]  # the top of a wave is flat, too, but for a sample only
        last = np.where(quiet[:, 2:], place[2:], -1).max(axis=-1)
        found = last >= 0
        last = np.where(found, last, first)
        here, after = slope[row, last], slope[row, last + 1]
        between = (limit - here) / np.maximum(after - here, 1e-30)
        onset = last + 0.5 + np.minimum(np.maximum(between, 0.0), 1.0) + self._offsets[0]
        return onset / self.rate_hz, found & (_rms(noise) <= ONSET_CLEAR * limit)

    def _end(self, mean: Array, beats: Array, used: BoolArray, rr_s: Array) -> tuple[Array, Array]:
        """Seconds from the R peak to the end of T, and their uncertainty; NaN where there is no T wave."""
        n, k = mean.shape
        row, place = np.arange(n), np.arange(k)
        since_s = (place + self._offsets[0]) / self.rate_hz
        latest = np.minimum(T_TO_S, T_TO_SHARE * rr_s)[:, None]
        top = np.argmax(np.where((since_s >= T_FROM_S) & (since_s <= latest), np.abs(mean), -1.0), axis=-1)
        upright = np.where(mean[row, top] < 0.0, -1.0, 1.0)[:, None]
        half = max(1, round(FIT_S * self.rate_hz))
        step = np.arange(-half, half + 1)
        fit = np.lib.stride_tricks.sliding_window_view(mean * upright, 2 * half + 1, axis=-1)
        slope = np.zeros((n, k))
        slope[:, half:-half] = (fit * step).sum(axis=-1) / (step * step).sum()
        after = (place > top[:, None]) & (place <= top[:, None] + round(DOWN_S * self.rate_hz))
        after &= (since_s <= rr_s[:, None] - ONSET_BEFORE_NEXT_S) & (place < k - half)
        steepest = np.argmin(np.where(after, slope, np.inf), axis=-1)
        fall = -slope[row, steepest]
        near = np.minimum(np.maximum(steepest, half), k - 1 - half)[:, None] + step
        height = (mean * upright)[row[:, None], near].mean(axis=-1)
        # What single beats have there tells what their mean is worth, whatever kind of noise it is.
        single = beats[row[:, None, None], np.arange(beats.shape[1])[:, None], near[:, None]] * upright[..., None]
        falls = -(single * step).sum(axis=-1) / (step * step).sum()
        heights = single.mean(axis=-1) - upright * beats[..., self._level].mean(axis=-1)
        fall_u = _spread(falls[..., None], used)[:, 0]
        clear = after.any(axis=-1) & (fall > CLEAR * fall_u) & (fall > 0.0) & (height > 0.0)
        fall = np.where(clear, fall, 1.0)
        reach = height / fall
        end = since_s[steepest] + reach / self.rate_hz
        u = _spread((heights - reach[:, None] * falls)[..., None], used)[:, 0] / fall / self.rate_hz
        return np.where(clear, end, np.nan), np.where(clear, u, np.nan)

    def _index(self, since_s: float) -> int:
        return round(since_s * self.rate_hz) - int(self._offsets[0])

    @cached_property
    def _offsets(self) -> IntArray:
        first, last = (round(s * self.rate_hz) for s in (FROM_S, TO_S))
        return np.arange(first, last + 1)

    @cached_property
    def _before(self) -> slice:
        return slice(self._index(ONSET_FROM_S), self._index(LEVEL_S[1]) + 1)

    @cached_property
    def _level(self) -> slice:
        return slice(self._index(LEVEL_S[0]), self._index(LEVEL_S[1]) + 1)


def _alike(beats: Array, used: BoolArray) -> BoolArray:
    """Beats that are like the others."""
    rest = beats - _mean(beats, used)[:, None]
    rest -= rest.mean(axis=-1, keepdims=True)  # what wanders is not unlike
    off = np.square(rest).mean(axis=-1)
    alike: BoolArray = used & (off <= APART**2 * median(off, used)[:, None])
    return alike


def _spread(values: Array, used: BoolArray) -> Array:
    """Standard uncertainty of the mean over the second axis, shape ``(n, n_samples)``."""
    n = np.count_nonzero(used, axis=-1)[:, None]
    square = np.square(np.where(used[..., None], values - _mean(values, used)[:, None], 0.0)).sum(axis=1)
    spread: Array = np.sqrt(square / (np.maximum(n - 1, 1) * np.maximum(n, 1)))
    return spread


def _rms(x: Array) -> Array:
    rms: Array = np.sqrt(np.square(np.ascontiguousarray(x)).mean(axis=-1))
    return rms


def _mean(beats: Array, used: BoolArray) -> Array:
    """Mean over the second axis."""
    total = np.where(used[..., None], beats, 0.0).sum(axis=1)
    mean: Array = total / np.maximum(np.count_nonzero(used, axis=-1), 1)[:, None]
    return mean
