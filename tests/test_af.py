"""Atrial fibrillation: laws of the averaged beat, what single beats and half minutes tell, and floors on recordings."""

import pickle
from pathlib import Path
from typing import NamedTuple

import laws
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from rings import SECOND, as_of
from test_beats import heart

from anomaly import intervals
from anomaly.averaged import N_MARKS, AveragedBeat, AveragedState, Marks
from anomaly.beats import BeatDetector, BeatState
from anomaly.fibrillation import fibrillation
from anomaly.intervals import BeatRing
from anomaly.irregularity import LEAST, irregularity, quantile
from anomaly.strip import StripRing, StripState
from deploy.evaluate.af import AF, FLUTTER, evaluate, listen
from deploy.evaluate.request import Request
from deploy.evaluate.rhythms import Rhythm, records_of

Array = NDArray[np.float64]
RATE = 250.0


class MarkedState(NamedTuple):
    beats: BeatState
    strip: StripState
    averaged: AveragedState


class Marked:
    """Detector, strip and averages together, as the flow has them: a kernel over blocks."""

    def __init__(self) -> None:
        self.beats, self.strip = BeatDetector(RATE), StripRing(RATE)
        self.averaged = AveragedBeat(self.strip)

    def init(self, first: Array) -> MarkedState:
        return MarkedState(self.beats.init(first), self.strip.init(first), self.averaged.init(len(first)))

    def step(self, state: MarkedState, block: Array) -> tuple[MarkedState, Marks]:
        beats, found = self.beats.step(state.beats, block)
        strip, _ = self.strip.step(state.strip, block)
        averaged, marks = self.averaged.step(state.averaged, strip, found.at, found.decided)
        return MarkedState(beats, strip, averaged), marks


def hearts(seconds: float = 14.0) -> Array:
    """Four patients: steady, irregular, with large beats among them, and noise alone."""
    rng = np.random.default_rng(3)
    steady = np.arange(0.5, seconds, 0.8)
    irregular = np.cumsum(rng.uniform(0.4, 1.1, 40))
    rows = [
        heart(steady, seconds),
        heart(irregular[irregular < seconds - 0.2], seconds),
        heart(steady, seconds, size=np.where(np.arange(len(steady)) % 4 == 3, -3.0, 1.0)),
        np.zeros(round(seconds * RATE)),
    ]
    return np.stack(rows)[:, None] + 0.02 * rng.standard_normal((4, 1, round(seconds * RATE)))


def blocks(x: Array, packet: int = 62) -> list[Array]:
    return laws.cut(x, range(packet, x.shape[-1], packet))


def marks_of(outputs: list[Marks], row: int) -> Marks:
    """Marks of the beats of one row, in order of decision."""
    return np.concatenate([marks[row][marks[row].any(axis=-1)] for marks in outputs])


def test_a_row_alone_equals_the_row_in_a_bank() -> None:
    laws.a_row_alone_equals_the_row_in_a_bank(Marked(), blocks(hearts(8.0)), (2, 3, 17))


def test_gathering_rows_between_steps_changes_nothing() -> None:
    laws.gathering_rows_between_steps_changes_nothing(Marked(), blocks(hearts()))


def test_a_step_writes_to_no_argument() -> None:
    laws.a_step_writes_to_no_argument(Marked(), blocks(hearts()))


def test_state_survives_pickling() -> None:
    laws.state_survives_pickling(Marked(), blocks(hearts()))
    assert pickle.loads(pickle.dumps(Marked().averaged)) == Marked().averaged  # noqa: S301 - our own bytes


@pytest.mark.parametrize("packet", [7, 62, 250, 1000])
def test_cutting_a_signal_changes_no_mark(packet: int) -> None:
    x = hearts()
    whole, expected = laws.run(Marked(), blocks(x))
    other, outputs = laws.run(Marked(), blocks(x, packet))
    laws.same(other.averaged, whole.averaged)
    for row in range(len(x)):
        assert_array_equal(marks_of(outputs, row), marks_of(expected, row))


def test_beats_of_another_shape_are_marked_and_stay_out_of_the_average() -> None:
    state, outputs = laws.run(Marked(), blocks(hearts()))
    ordinary = marks_of(outputs, 2)[:, 0]
    assert 0.6 < ordinary.mean() < 0.85  # three of four
    usual, odd = state.averaged.mean[0], state.averaged.mean[2]
    np.testing.assert_allclose(odd, usual, atol=0.06)


def test_a_new_kind_of_beat_becomes_the_usual_one() -> None:
    beats = np.arange(0.5, 30.0, 0.8)
    x = heart(beats, 30.0, size=np.where(beats < 12.0, 1.0, -1.0))[None, None] + 0.01 * np.random.default_rng(
        0
    ).standard_normal((1, 1, 7500))
    marks = marks_of(laws.run(Marked(), blocks(x))[1], 0)
    assert marks[:8, 0].all()
    assert np.count_nonzero(marks[:, 0] == 0.0) == 7
    assert marks[-10:, 0].all()


def rhythm(rr: Array, *, p_wave: bool, odd: NDArray[np.bool_] | None = None) -> tuple[BeatRing, NDArray[np.int64]]:
    """A ring of beats 100 s after the start whose marks say what is said, and the time of the last."""
    times = 100.0 + np.concatenate([[0.0], np.cumsum(rr)])
    marks = np.zeros((1, len(times), N_MARKS), np.float16)
    marks[..., 0] = 1.0 if odd is None else ~odd
    marks[..., 1], marks[..., 2], marks[..., 3] = (-1.0, -2.6, -1.3) if p_wave else (-2.9, -1.4, -1.8)
    at = np.rint(times * SECOND).astype(np.int64)[None]
    ring = intervals.push(intervals.empty(1, 128, N_MARKS), at, np.ones(at.shape), marks)
    return ring, at[:, -1]


def random_rr(n: int = 60, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(0.45, 1.05, n)


def test_chance_without_p_waves_is_fibrillation_and_breathing_with_them_is_none() -> None:
    ring, now = rhythm(random_rr(), p_wave=False)
    found = fibrillation(ring, now, as_of(1.0))
    assert found.known[0]
    assert found.true[0]
    assert found.probability[0] > 0.9
    sinus = 0.9 + 0.12 * np.sin(2.0 * np.pi * np.arange(60) * 0.9 / 4.0)
    ring, now = rhythm(sinus, p_wave=True)
    found = fibrillation(ring, now, as_of(1.0))
    assert found.known[0]
    assert not found.true[0]
    assert found.probability[0] < 0.1
    assert found.onset_ns[0] == 0


@pytest.mark.parametrize("each", [2, 3, 4])
def test_ectopic_beats_in_a_sinus_rhythm_are_no_fibrillation(each: int) -> None:
    jitter = 0.01 * np.random.default_rng(1).standard_normal(61)
    odd = np.arange(62) % each == 1
    rr = np.where(odd[1:], 0.5, np.where(odd[:-1], 1.1, 0.8)) + jitter
    ring, now = rhythm(rr, p_wave=True, odd=odd)
    assert fibrillation(ring, now, as_of(1.0)).probability[0] < 0.5


def test_the_onset_is_where_the_irregularity_begins() -> None:
    rr = np.concatenate([np.full(40, 0.8), random_rr(60)])
    ring, now = rhythm(rr, p_wave=False)
    found = fibrillation(ring, now, as_of(1.0))
    assert found.true[0]
    assert abs(found.onset_ns[0] / SECOND - (100.0 + 40 * 0.8)) < 3.0


def test_groups_that_repeat_are_told_apart_from_chance() -> None:
    jitter = 0.01 * np.random.default_rng(2).standard_normal(60)
    ring, now = rhythm(np.tile([0.9, 0.85, 1.5], 20) + jitter, p_wave=False)
    assert fibrillation(ring, now, as_of(1.0)).grouped[0]
    ring, now = rhythm(random_rr(), p_wave=False)
    assert not fibrillation(ring, now, as_of(1.0)).grouped[0]


def test_with_few_beats_or_after_a_silence_nothing_is_known() -> None:
    ring, now = rhythm(random_rr(LEAST - 1), p_wave=False)
    assert not fibrillation(ring, now, as_of(1.0)).known[0]
    ring, now = rhythm(random_rr(), p_wave=False)
    assert not fibrillation(ring, now + 5 * SECOND, as_of(1.0)).known[0]
    assert not fibrillation(ring, now, now).known[0]


def test_features_of_a_row_alone_equal_those_in_a_bank() -> None:
    rng = np.random.default_rng(5)
    n, kept = 33, 128
    at = np.cumsum(rng.uniform(0.3, 1.5, (n, kept)), axis=-1)
    marks = rng.standard_normal((n, kept, N_MARKS)).astype(np.float16)
    marks[..., 0] = rng.random((n, kept)) < 0.8
    ring = BeatRing(np.rint(at * SECOND).astype(np.int64), np.ones((n, kept), np.float32), marks)
    now, since = np.full(n, 90 * SECOND), np.full(n, SECOND)
    for judge in (irregularity, fibrillation):
        whole = judge(ring, now, since)
        for row in (0, 17, 32):
            part = slice(row, row + 1)
            laws.same(judge(laws.rows(ring, part), now[part], since[part]), laws.rows(whole, part))


def test_quantiles_are_those_of_numpy_and_leave_out_what_is_none() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 12))
    x[rng.random(x.shape) < 0.3] = np.nan
    for share in (0.0, 0.25, 0.5, 0.8, 1.0):
        np.testing.assert_allclose(quantile(x, share), np.nanquantile(x, share, axis=-1), rtol=1e-12)
    assert np.isnan(quantile(np.full((1, 4), np.nan), 0.5)[0])


def test_a_recording_is_heard_alike_alone_and_among_others() -> None:
    beats = [np.cumsum(random_rr(200, seed)) for seed in (0, 1)]
    signals = [heart(at[at < 29.0], 30.0) for at in beats]
    both = [Rhythm(str(k), RATE, x, np.zeros(1, np.int64), ("A",)) for k, x in enumerate(signals)]
    together, (alone,) = listen(both), listen(both[1:])
    assert_array_equal(together[1].truth, alone.truth)
    assert_array_equal(together[1].probability, alone.probability)
    assert len(alone.truth) == 30


@pytest.mark.recordings
def test_fibrillation_is_told_on_short_strips(recordings: Path) -> None:
    gross = evaluate(Request(recordings / "cinc2017"), lambda _: None).gross
    assert gross.se >= 0.88
    assert gross.sp_normal >= 0.975
    assert gross.sp_other >= 0.91


@pytest.mark.recordings
@pytest.mark.long
def test_fibrillation_is_told_on_long_records(recordings: Path) -> None:
    hard = {AF, "B", "T"}  # fibrillation, and what is most like it: bigeminy and trigeminy
    records = [record for record in records_of(recordings / "mitdb", None) if hard & set(record.rhythm)]
    parts = [part for record in records for part in thirds(record)]  # side by side: a third of the packets
    told, names = listen(parts), [part.each_second() for part in parts]
    said = np.concatenate([one.truth == 1 for one in told])
    true, flutter = (np.concatenate([name == rhythm for name in names]) for rhythm in (AF, FLUTTER))
    assert said[true].mean() >= 0.95
    assert 1.0 - said[~true & ~flutter].mean() >= 0.95


def thirds(record: Rhythm) -> list[Rhythm]:
    """Three parts of a record, each with the rhythm that it begins in."""
    length = len(record.signal) // 3
    return [
        record._replace(signal=record.signal[start : start + length], at=record.at - start)
        for start in (0, length, 2 * length)
    ]
