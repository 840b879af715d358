"""The running averaged beat of every row, and how each new beat differs from it: is it of a kind, has it a P wave."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.strip import StripRing, StripState

Marks = NDArray[np.float16]

FROM_S, TO_S = -0.264, 0.136  # of the R peak: what is averaged
QRS_FROM_S = -0.12  # the QRS and what there is of the ST segment before the beat is decided
P_TO_S = -0.064  # the P wave lies before it
BEATS = 16  # the average looks back on so many beats
LIKE = 0.85  # correlation with the average from which on a beat is an ordinary one ...
UNLIKE = 0.6  # ... if the energy of the difference is no more than this share of the average's
STRANGERS = 7  # so many beats in a row that are unlike the average are the new average
FLOOR = 1e-3  # of a QRS: what is smaller is nothing
N_MARKS = 4


class AveragedState(NamedTuple):
    """Averages of a bank."""

    mean: NDArray[np.float32]  # (n, n_samples) averaged beat, from `FROM_S` to `TO_S` at the strip's rate
    weight: IntArray  # (n,) beats in it, at most `BEATS`
    strangers: IntArray  # (n,) beats in a row that are unlike it


class BeatMarks(NamedTuple):
    """What is marked of every beat; one value for each."""

    ordinary: BoolArray  # like the average
    p_size: Array  # log of the averaged P wave's norm over the height of this QRS
    rest_size: Array  # the same of what this beat has there besides: f-waves, noise
    rest_pitch: Array  # log energy of the slope of that over its own: noise is of higher pitch than f-waves


@dataclass(frozen=True)
class AveragedBeat:
    """Keep the average of the last ordinary beats, and mark each beat by it.

    Whatever the atria do in step with the beats stays in the average; f-waves and noise shrink. So the size of what the
    average has before the QRS, beside the size of what a single beat has there, tells P waves from f-waves, whatever
    the polarity of the lead.

    Parameters
    ----------
    strip : StripRing
        The lead that beats are cut from; its state is passed to `step` and is not kept twice.

    Notes
    -----
    A beat is cut at sub-sample precision (linear between samples) and up to the sample at which it was decided; what is
    wanted of it and comes later is held at that sample's value. So its marks do not depend on where packets were cut,
    as long as a packet is shorter than what the strip keeps. Each beat is compared with the average of those before it,
    and enters it if it is ordinary. The parts that hold P waves are taken free of their mean and slope: there the T
    wave ends.

    References
    ----------
    Averaging in step with the R peak to bring out the P wave: Ladavich & Ghoraani 2015, doi:10.1016/j.bspc.2015.01.007,
    which classifies single P waves; differs in: running averages only, and no training on shapes.
    """

    strip: StripRing

    def init(self, n: int) -> AveragedState:
        """Rows that have seen no beat."""
        zero = np.zeros(n, np.int64)
        return AveragedState(np.zeros((n, len(self._offsets)), np.float32), zero, zero.copy())

    def step(self, state: AveragedState, trail: StripState, at: Array, decided: Array) -> tuple[AveragedState, Marks]:
        """Mark beats and let them into the average, in the order of the slots.

        Parameters
        ----------
        state
            Averages before these beats.
        trail
            State of the strip after the block that the beats were decided in.
        at, decided : ndarray, shape (n, m)
            As in `beats.BeatsOut`.

        Returns
        -------
        AveragedState
            Averages after them.
        ndarray of float16, shape (n, m, N_MARKS)
            `BeatMarks` in the order of its fields, ready for a ring; zeros where there is no beat.
        """
        marks = np.zeros((*at.shape, N_MARKS), np.float16)
        columns = np.flatnonzero((~np.isnan(at)).any(axis=0))
        if len(columns):
            state = AveragedState._make(leaf.copy() for leaf in state)
        for column in columns:
            row = np.flatnonzero(~np.isnan(at[:, column]))
            wave = self._cut(trail, row, at[row, column], decided[row, column])
            marks[row, column] = self._enter(state, row, wave)
        return state, marks

    def _enter(self, state: AveragedState, row: IntArray, wave: Array) -> Marks:
        """Mark one beat of each row named, and write it into the averages."""
        mean, weight = state.mean[row].astype(np.float64), state.weight[row]
        first = weight == 0
        mean = np.where(first[:, None], wave, mean)
        qrs, usual = wave[:, self._qrs :], mean[:, self._qrs :]
        qrs, usual = (np.ascontiguousarray(part - part.mean(axis=-1, keepdims=True)) for part in (qrs, usual))
        power, usual_power = (qrs * qrs).sum(axis=-1), (usual * usual).sum(axis=-1)
        like = (qrs * usual).sum(axis=-1) / (np.sqrt(power * usual_power) + 1e-30)
        apart = ((qrs - usual) ** 2).sum(axis=-1) / (usual_power + 1e-30)
        ordinary = first | ((like > LIKE) & (apart < UNLIKE))

        height = np.ptp(qrs, axis=-1) + 1e-30
        averaged = _level(mean[:, : self._p])
        rest = _level(wave[:, : self._p]) - averaged
        slope = np.ascontiguousarray(np.diff(rest, axis=-1))
        rest_power = (rest * rest).sum(axis=-1)
        pitch = (slope * slope).sum(axis=-1) / (rest_power + (FLOOR * height) ** 2)
        p_size = np.log(np.sqrt((averaged * averaged).sum(axis=-1)) / height + FLOOR)
        rest_size = np.log(np.sqrt(rest_power) / height + FLOOR)
        told = BeatMarks(ordinary, p_size, rest_size, np.log(pitch + FLOOR))

        strangers = np.where(ordinary, 0, state.strangers[row] + 1)
        anew = ~ordinary & ((strangers >= STRANGERS) | (weight == 1))
        weight = np.where(anew, 1, np.minimum(weight + ordinary, BEATS))
        share = np.where(ordinary | anew, 1.0 / weight, 0.0)
        state.mean[row] = mean + share[:, None] * (wave - mean)
        state.weight[row] = weight
        state.strangers[row] = np.where(anew, 0, strangers)
        return np.stack(told, axis=-1).astype(np.float16)

    def _cut(self, trail: StripState, row: IntArray, at: Array, decided: Array) -> Array:
        """One beat of each row named, shape ``(len(row), n_samples)``."""
        ratio = self.strip.rate_hz / self.strip.out_hz
        place = (at + self.strip.delay) / ratio
        whole = np.floor(place)
        share = (place - whole)[:, None]
        # The last sample of the strip that had come when the beat was decided.
        last = (np.ceil((decided + 0.5) / ratio) - 1.0).astype(np.int64)[:, None]
        number = whole.astype(np.int64)[:, None] + self._offsets
        oldest = np.maximum(last - self.strip.n_kept + 1, 0)
        left, right = (np.clip(number + k, oldest, last) % self.strip.n_kept for k in (0, 1))
        ring = trail.ring
        # A row that has only begun has no sample there yet.
        x, y = (np.nan_to_num(ring[row[:, None], k].astype(np.float64)) for k in (left, right))
        wave: Array = x + share * (y - x)
        return wave

    @cached_property
    def _offsets(self) -> IntArray:
        first, last = (round(s * self.strip.out_hz) for s in (FROM_S, TO_S))
        return np.arange(first, last + 1)

    @cached_property
    def _qrs(self) -> int:
        return round((QRS_FROM_S - FROM_S) * self.strip.out_hz)

    @cached_property
    def _p(self) -> int:
        return round((P_TO_S - FROM_S) * self.strip.out_hz) + 1


def _level(x: Array) -> Array:
    """Take the mean and the slope out of each row."""
    n = x.shape[-1]
    ramp = np.arange(n) - 0.5 * (n - 1)
    ramp /= np.sqrt((ramp * ramp).sum())
    x = x - np.ascontiguousarray(x).mean(axis=-1, keepdims=True)
    level: Array = x - np.ascontiguousarray(x * ramp).sum(axis=-1, keepdims=True) * ramp
    return level
