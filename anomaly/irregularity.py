"""What the last half minute of beats tells of a rhythm: how irregular, of how many kinds, with a P wave or without."""

from typing import NamedTuple

import numpy as np

from anomaly.averaged import N_MARKS, BeatMarks
from anomaly.intervals import BeatRing, newest
from anomaly.kernel import Array, BoolArray, IntArray

SPAN_NS = 30_000_000_000  # no interval begins earlier
MOST = 48  # intervals: half a minute at 96 bpm, less of a faster heart
LEAST = 5  # intervals, to tell anything
FEW = 5  # ordinary intervals: with fewer, all are taken
NEAR = 0.06  # of the median: an interval that differs by less is a regular one
ALIKE = 0.04  # of the median: two intervals that differ by less are alike
ECHOES = (2, 3, 4, 5, 6)  # beats before which a grouped rhythm has the same interval: bigeminy 2, trigeminy 3
LEAST_APART_S = 0.01  # of intervals from their mean: with less, there are no groups to be told
FOLLOWS = 0.05  # of the median: the same for intervals that follow intervals


class Irregularity(NamedTuple):
    """Features of the beats of the last half minute, shape (n_devices,) each; NaN with fewer than `LEAST` intervals.

    An ordinary interval lies between two ordinary beats: what an ectopic beat does to the rhythm is not in it.
    """

    rate: Array  # 1/min, over the mean interval
    step_quarter: Array  # lower quartile of the steps between intervals, in median intervals
    step_upper: Array  # upper quartile
    step_mean: Array  # mean of the steps over the mean interval
    turns: Array  # share of the steps that turn back: 2/3 where the order is chance, less in breathing
    ordinary: Array  # share of ordinary intervals
    few: Array  # 1 where there are fewer than `FEW`, so that all are taken for ordinary; else 0
    regular: Array  # share of ordinary intervals within `NEAR` of their median
    alike: Array  # share of pairs of ordinary intervals that are alike
    entropy: Array  # sample entropy, order 1, of ordinary intervals that follow each other
    echo: Array  # distance from intervals a few beats before, over that from their mean: 1 by chance, 0 in groups
    p_size: Array  # log of the averaged P wave over the QRS
    p_clear: Array  # log of its power over that of what single beats have there besides
    rest_pitch: Array  # pitch of the latter


def irregularity(ring: BeatRing, as_of_ns: IntArray, since_ns: IntArray) -> Irregularity:
    """Return the features of the beats at or before a time.

    Parameters
    ----------
    ring
        Rows of a ring of beats, marked by `averaged.AveragedBeat`.
    as_of_ns : ndarray of int, shape (n_devices,)
        Later beats are left out.
    since_ns : ndarray of int, shape (n_devices,)
        Start of the unbroken evidence.

    References
    ----------
    Lake & Moorman 2011, doi:10.1152/ajpheart.00561.2010, for sample entropy of short series; differs in: a tolerance in
    median intervals, and one pair is added to those that match so that none is infinite. Dash et al. 2009,
    doi:10.1007/s10439-009-9740-z, for turning points.
    """
    beats = newest(ring, as_of_ns, MOST + 1, np.maximum(since_ns, as_of_ns - SPAN_NS))
    rr = np.diff(beats.times_ns, axis=-1) / 1e9
    used = beats.there[:, :-1]
    n = np.count_nonzero(used, axis=-1)
    known = n >= LEAST
    rr = np.where(used, rr, np.nan)
    marks = marks_of(ring, as_of_ns, beats.there)
    median = quantile(rr, 0.5)
    mean = _mean(rr, used)
    step = np.abs(np.diff(rr, axis=-1))
    turn = np.diff(rr, axis=-1)
    turn = turn[:, 1:] * turn[:, :-1]

    clean = used & marks.ordinary[:, 1:] & marks.ordinary[:, :-1]
    n_clean = np.count_nonzero(clean, axis=-1)
    few = n_clean < FEW
    clean = np.where(few[:, None], used, clean)
    ordinary = np.where(clean, rr, np.nan)
    usual = quantile(ordinary, 0.5)
    regular = clean & (np.abs(rr - usual[:, None]) < (NEAR * usual)[:, None])
    alike, entropy = _pairs(rr, clean, usual)
    p_size, rest_size, pitch = (
        quantile(np.where(beats.there, mark, np.nan), 0.5) for mark in (marks.p_size, marks.rest_size, marks.rest_pitch)
    )
    told = Irregularity(
        rate=60.0 / mean,
        step_quarter=quantile(step, 0.25) / median,
        step_upper=quantile(step, 0.75) / median,
        step_mean=_mean(step, ~np.isnan(step)) / mean,
        turns=np.count_nonzero(turn < 0.0, axis=-1) / np.maximum(n - 2, 1),
        ordinary=n_clean / np.maximum(n, 1),
        few=few.astype(np.float64),
        regular=np.count_nonzero(regular, axis=-1) / np.maximum(np.count_nonzero(clean, axis=-1), 1),
        alike=alike,
        entropy=entropy,
        echo=_echo(rr, _mean(np.abs(rr - mean[:, None]), used)),
        p_size=p_size,
        p_clear=2.0 * (p_size - rest_size),
        rest_pitch=pitch,
    )
    return Irregularity._make(np.where(known, value, np.nan) for value in told)


def quantile(x: Array, share: float) -> Array:
    """Quantile of the numbers in each row, between order statistics; NaN where there are none.

    Examples
    --------
    >>> quantile(np.array([[3.0, np.nan, 1.0, 2.0]]), 0.25).tolist()
    [1.5]
    """
    ordered = np.sort(x, axis=-1)  # NaN last
    place = share * np.maximum(np.count_nonzero(~np.isnan(x), axis=-1) - 1, 0)
    low = np.floor(place).astype(np.int64)
    each = np.arange(len(x))
    below, above = ordered[each, low], ordered[each, np.minimum(low + 1, x.shape[-1] - 1)]
    part = place - low
    found: Array = np.where(part > 0.0, below + part * (above - below), below)
    return found


def marks_of(ring: BeatRing, as_of_ns: IntArray, there: BoolArray) -> BeatMarks:
    """Marks of the newest beats, as many as `there` has columns; without meaning where it is False."""
    past = np.count_nonzero(ring.times_ns <= as_of_ns[:, None], axis=-1)
    wanted = there.shape[-1]
    source = np.maximum(past[:, None] - wanted + np.arange(wanted), 0)
    own = ring.marks[..., :N_MARKS]
    marks = np.take_along_axis(own, source[..., None], axis=1).astype(np.float64)
    ordinary, *sizes = (np.ascontiguousarray(mark) for mark in np.moveaxis(marks, -1, 0))
    return BeatMarks(ordinary > 0.5, *sizes)


def _echo(rr: Array, apart: Array) -> Array:
    """Least median distance of intervals from those `ECHOES` beats before, over their mean distance from their mean."""
    each = [quantile(np.abs(rr[:, lag:] - rr[:, :-lag]), 0.5) for lag in ECHOES]
    echo: Array = np.fmin.reduce(each) / np.maximum(apart, LEAST_APART_S)
    return echo


def _mean(x: Array, used: BoolArray) -> Array:
    n = np.count_nonzero(used, axis=-1)
    mean: Array = np.where(used, x, 0.0).sum(axis=-1) / np.where(n > 0, n, np.nan)
    return mean


def _pairs(rr: Array, clean: BoolArray, usual: Array) -> tuple[Array, Array]:
    """Share of pairs that are alike, and sample entropy; each pair is counted twice, none with itself."""
    apart = np.abs(rr[:, :, None] - rr[:, None, :])
    both = clean[:, :, None] & clean[:, None, :]
    n = np.count_nonzero(clean, axis=-1)
    alike = _count(both & (apart < (ALIKE * usual)[:, None, None])) - n
    near = both & (apart < (FOLLOWS * usual)[:, None, None])
    follows = clean[:, 1:] & clean[:, :-1]
    m = np.count_nonzero(follows, axis=-1)
    one = near[:, :-1, :-1] & follows[:, :, None] & follows[:, None, :]
    ones, twos = _count(one) - m, _count(one & near[:, 1:, 1:]) - m
    entropy = np.log((ones + 2.0) / (twos + 1.0))
    return alike / np.maximum(n * (n - 1), 1), entropy


def _count(truth: BoolArray) -> IntArray:
    n: IntArray = np.count_nonzero(truth, axis=(1, 2))
    return n
