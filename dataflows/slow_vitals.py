"""Vitals that take their time: variability over five minutes, QT, pulse transit, the trend of NEWS2."""

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly import ectopy, hrv
from anomaly.qt import LEAST_LOOKS
from anomaly.slope import slope
from anomaly.transit import transit
from dataflows import tree
from dataflows.cardiac_slow import BEATS_AT, EVERY_S, QT_AT, due
from dataflows.courses import Course
from dataflows.estimates import N_SHAPE, QT_METER, BoolArray, FloatArray, IntArray, Second
from dataflows.events import SECOND_NS
from dataflows.followed import Followed

VITALS: Final = ("pnn50", "lf", "hf", "qt", "qtc", "transit", "news2_trend")  # columns of `Slow`
HRV, QT, TRANSIT, TREND = slice(0, 3), slice(3, 5), slice(5, 6), slice(6, 7)
HRV_EVERY_S: Final = 30  # each patient at a second of his own: it costs most
HOLD_S: Final = (HRV_EVERY_S + 10, 2 * EVERY_S, 2 * EVERY_S)  # a value holds so long without a new look
N_LOOKS: Final = 6  # whose beats are averaged for QT: half a minute
FASTEST_BPM: Final = 120.0  # beyond it T and P run into each other
MOST_HALF: Final = 6e4  # that half precision holds
SLOT_MINUTES, N_SLOTS, LEAST_SLOTS = 5, 48, 12  # a trend over four hours by five minutes, told after one hour
PER_HOUR: Final = 60.0 / SLOT_MINUTES
SCORE_U: Final = 0.25  # points: a score is a whole number
LATE_NS: Final = SECOND_NS // 4 + ectopy.LATE_NS  # a beat's class is known so long before the end of a second
QT_REASONS: Final = ("no-signal", "", "settling", "unclear", "fibrillation", "fast")
HRV_REASONS: Final = ("no-signal", "", "settling", "irregular", "fibrillation")
TRANSIT_REASONS: Final = ("no-signal", "", "no-light", "unclear")


class SlowState(NamedTuple):
    """What is kept of each patient, and what was told last."""

    phase: IntArray  # (n,) the patient's own second of every `HRV_EVERY_S`
    intervals: hrv.HrvState
    shapes: NDArray[np.float16]  # (n, N_LOOKS, N_SHAPE) averaged beats of the last looks, newest last
    beats: IntArray  # (n, N_LOOKS) in each of them; 0: there is none
    slot: IntArray  # (n,) unix time in five minutes of what is being gathered; 0: none yet
    total: FloatArray  # (n,) sum of the middles of NEWS2 of its minutes
    number: IntArray  # (n,) of how many
    scores: FloatArray  # (n, N_SLOTS) means of the slots before, newest last; NaN: none
    value: FloatArray  # (n, 7) as told last, by `VITALS`
    u: FloatArray
    quality: FloatArray
    why: IntArray  # (n, 3) index into the reasons of variability, QT and transit
    looked_ns: IntArray  # (n, 3) end of the second of the last look at each; 0: none


class Slow(NamedTuple):
    """Shape (n, 7), by `VITALS`; NaN where it could not be measured."""

    value: FloatArray
    u: FloatArray
    quality: FloatArray
    why: IntArray  # (n, 3) index into the reasons of variability, QT and transit


def nothing_told(n: int) -> Slow:
    """Of patients of whom nothing is known."""
    nan, zero = np.full((n, len(VITALS)), np.nan), np.zeros((n, len(VITALS)))
    return Slow(nan, nan, zero, np.zeros((n, 3), np.int64))


class SlowVitals(Followed[SlowState]):
    """The slow vitals of a shard's patients."""

    def __init__(self) -> None:
        super().__init__("slow vitals", _nothing)

    def step(self, patients: Sequence[str], known: Second, course: Course, end_ns: IntArray) -> Slow:
        """Take what is known of one second of some patients, each of whom stands here once."""
        state = self.state_of(patients)
        second = end_ns // SECOND_NS
        looks = (
            (due(end_ns, BEATS_AT), _beaten),
            (due(end_ns, QT_AT), _averaged),
            ((second + state.phase) % HRV_EVERY_S == 0, _varied),
        )
        changed = False
        for is_due, look in looks:
            rows = np.flatnonzero(is_due)
            if len(rows):
                tree.put(state, rows, look(tree.take(state, rows), tree.take(known, rows), end_ns[rows]))
                changed = True
        rows = np.flatnonzero(second % 60 == 1)
        if len(rows):
            tree.put(state, rows, _scored(tree.take(state, rows), tree.take(course, rows), second[rows]))
            changed = True
        if changed:
            self.bank.put(patients, state)
        return _told(state, end_ns)


def _nothing(patients: Sequence[str]) -> SlowState:
    n = len(patients)
    zero, nan, three = np.zeros(n, np.int64), np.full((n, len(VITALS)), np.nan), np.zeros((n, 3), np.int64)
    # Other digits than those that a shard is chosen by.
    phase = np.array([(zlib.crc32(patient.encode()) >> 16) % HRV_EVERY_S for patient in patients], np.int64)
    return SlowState(
        phase=phase,
        intervals=hrv.init(n),
        shapes=np.zeros((n, N_LOOKS, N_SHAPE), np.float16),
        beats=np.zeros((n, N_LOOKS), np.int64),
        slot=zero,
        total=np.zeros(n),
        number=zero,
        scores=np.full((n, N_SLOTS), np.nan),
        value=nan,
        u=nan,
        quality=np.zeros((n, len(VITALS))),
        why=three,
        looked_ns=three,
    )


def _beaten(state: SlowState, known: Second, end_ns: IntArray) -> SlowState:
    """Take the beats of the last five seconds whose class is known, and look at their pulses."""
    heart, light = known.cardiac, known.optical
    fresh = (heart.beats_ns > state.intervals.last_ns[:, None]) & (heart.beats_ns <= (end_ns - LATE_NS)[:, None])
    at_ns, normal = _leftmost(np.where(fresh, heart.beats_ns, 0), heart.sinus & fresh)
    out = transit(heart.beats_ns, light.feet_ns, end_ns)
    there = heart.present & light.present
    why = np.select([~heart.present, ~light.present, np.isnan(out.ms)], [0, 2, 3], 1)
    quality = np.where(there, out.share * np.minimum(heart.quality, light.quality), 0.0)
    state = state._replace(intervals=hrv.push(state.intervals, at_ns, normal))
    return _looked(state, TRANSIT, 2, (out.ms[:, None], out.u_ms[:, None], quality), why, end_ns)


def _varied(state: SlowState, known: Second, end_ns: IntArray) -> SlowState:
    """Measure the variability of the last five minutes."""
    heart = known.cardiac
    out = hrv.measure(state.intervals, np.nan_to_num(heart.jitter_ms))
    why = np.select(
        [~heart.present, heart.fibrillation == 1, out.covered < hrv.LEAST_SHARE, np.isnan(out.lf_ms2)], [0, 4, 2, 3], 1
    )
    value = np.stack([100.0 * out.pnn50, out.lf_ms2, out.hf_ms2], axis=-1)
    u = np.stack([100.0 * out.pnn50_u, out.lf_u, out.hf_u], axis=-1)
    return _looked(state, HRV, 0, (value, u, out.share), why, end_ns)


def _averaged(state: SlowState, known: Second, end_ns: IntArray) -> SlowState:
    """Measure QT on the averages of half a minute."""
    heart = known.cardiac
    gone = (end_ns - state.looked_ns[:, 1] > HOLD_S[1] * SECOND_NS)[:, None]
    new = np.clip(heart.shape, -MOST_HALF, MOST_HALF).astype(np.float16)
    shapes = np.concatenate([state.shapes[:, 1:], new[:, None]], axis=1)
    beats = np.concatenate([np.where(gone, 0, state.beats[:, 1:]), heart.shape_beats[:, None]], axis=1)
    out = QT_METER.measure(shapes.astype(np.float64), beats, 60.0 / np.nan_to_num(heart.hr, nan=60.0))
    why = np.select(
        [
            ~heart.present,
            heart.fibrillation == 1,
            heart.hr > FASTEST_BPM,
            np.count_nonzero(beats, axis=-1) < LEAST_LOOKS,
            ~np.isfinite(out.ms * heart.hr),
        ],
        [0, 4, 5, 2, 3],
        1,
    )
    corrected = np.cbrt(heart.hr / 60.0)  # Fridericia
    value = np.stack([out.ms, out.ms * corrected], axis=-1)
    u = np.stack([out.u_ms, out.u_ms * corrected], axis=-1)
    state = state._replace(shapes=shapes, beats=beats)
    return _looked(state, QT, 1, (value, u, np.minimum(heart.quality, 1.0)), why, end_ns)


def _scored(state: SlowState, course: Course, second: IntArray) -> SlowState:
    """Take the middle of NEWS2's range in the minute that was judged last; and the trend, once five are whole."""
    slot = second // (60 * SLOT_MINUTES)
    over = (state.slot > 0) & (slot > state.slot)
    shift = np.where(over, np.minimum(slot - state.slot, N_SLOTS), 0)
    last = np.where(state.number > 0, state.total / np.maximum(state.number, 1), np.nan)
    wide = np.concatenate([state.scores, last[:, None], np.full((len(slot), N_SLOTS), np.nan)], axis=-1)
    scores = np.take_along_axis(wide, shift[:, None] + np.arange(N_SLOTS), axis=-1)
    middle = 0.5 * (course.news2_min + course.news2_max)
    there = np.isfinite(middle)
    state = state._replace(
        slot=np.maximum(slot, state.slot),
        total=np.where(over, 0.0, state.total) + np.where(there, middle, 0.0),
        number=np.where(over, 0, state.number) + there,
        scores=scores,
    )
    rows = np.flatnonzero(over)
    if len(rows):
        out = slope(scores[rows], LEAST_SLOTS, SCORE_U)
        value, u, quality = state.value.copy(), state.u.copy(), state.quality.copy()
        value[rows, TREND], u[rows, TREND] = PER_HOUR * out.slope[:, None], PER_HOUR * out.u[:, None]
        quality[rows, TREND] = np.isfinite(scores[rows]).mean(axis=-1, keepdims=True)
        state = state._replace(value=value, u=u, quality=quality)
    return state


def _looked(
    state: SlowState,
    columns: slice,
    which: int,
    seen: tuple[FloatArray, FloatArray, FloatArray],
    why: IntArray,
    end_ns: IntArray,
) -> SlowState:
    """Keep what a look has shown; what has a reason is not measured."""
    value, u, quality = state.value.copy(), state.u.copy(), state.quality.copy()
    whys, looked_ns = state.why.copy(), state.looked_ns.copy()
    told = (why == 1)[:, None]
    value[:, columns], u[:, columns] = np.where(told, seen[0], np.nan), np.where(told, seen[1], np.nan)
    quality[:, columns] = np.where(told, seen[2][:, None], 0.0)
    whys[:, which], looked_ns[:, which] = why, end_ns
    return state._replace(value=value, u=u, quality=quality, why=whys, looked_ns=looked_ns)


def _told(state: SlowState, end_ns: IntArray) -> Slow:
    """What was told last, as far as it holds."""
    value, why = state.value.copy(), state.why.copy()
    for which, (columns, hold_s) in enumerate(zip((HRV, QT, TRANSIT), HOLD_S, strict=True)):
        old = end_ns - state.looked_ns[:, which] > hold_s * SECOND_NS
        value[old, columns] = np.nan
        why[old, which] = 0
    return Slow(value, state.u, state.quality, why)


def _leftmost(at_ns: IntArray, normal: BoolArray) -> tuple[IntArray, BoolArray]:
    """Beats moved to the first columns, as few as hold them all."""
    order = np.argsort(at_ns == 0, axis=-1, kind="stable")
    n = int(np.count_nonzero(at_ns, axis=-1).max(initial=0))
    return np.take_along_axis(at_ns, order, axis=-1)[:, :n], np.take_along_axis(normal, order, axis=-1)[:, :n]
