"""Rings of beats keep their order, and rates are made by the rule that the truth shares."""

import laws
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracle_vitals import heart_rate, pushed, variability_ms
from rings import SECOND, as_of, every, ring_of

from anomaly import intervals
from anomaly.intervals import IntervalsOut

RR_S = st.lists(st.floats(0.25, 5.0), min_size=0, max_size=80)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(4, 12))
def test_beats_pushed_in_any_order_lie_as_in_a_sorted_list(tenths: list[int], n_kept: int) -> None:
    ring = intervals.empty(1, n_kept)
    expected: list[int] = []
    for tenth in tenths:
        at = tenth * SECOND // 10
        ring = intervals.push(ring, np.array([[at]]), np.array([[tenth / 40]]))
        full = len(expected) == n_kept
        expected = expected if full and at < expected[0] else pushed(expected, at, n_kept)
    assert_array_equal(ring.times_ns[0], [0] * (n_kept - len(expected)) + expected)
    quality = ring.quality[0][ring.times_ns[0] > 0].tolist()
    assert quality == pytest.approx([at / (4 * SECOND) for at in expected], rel=1e-6)


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_push_of_several_columns_is_several_pushes_and_rows_do_not_meet(tenths: list[list[int]]) -> None:
    one, many = intervals.empty(2, 16), intervals.empty(2, 16)
    for row in tenths:
        at = np.array([row, [0, 0, 0]], np.int64) * (SECOND // 10)
        quality = np.array([[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])
        many = intervals.push(many, at, quality)
        for k in range(3):
            one = intervals.push(one, at[:, k : k + 1], quality[:, k : k + 1])
    laws.same(one, many)
    assert not many.times_ns[1].any()


def test_a_push_writes_to_no_argument() -> None:
    ring = ring_of([1.0, 2.0], [1.5])
    ring.times_ns.setflags(write=False)
    ring.quality.setflags(write=False)
    assert intervals.push(ring, as_of(3.0, 4.0)[:, None], np.ones((2, 1))).times_ns[1, -1] == 4 * SECOND


def test_a_beat_found_late_is_sorted_in_and_one_seen_twice_is_one() -> None:
    ring = ring_of([10.0, 11.0, 12.6, 11.8, 12.65])
    assert_array_equal(ring.times_ns[0, -4:], as_of(10.0, 11.0, 11.8, 12.6))


@given(RR_S, st.floats(-3.0, 6.0))
def test_heart_rate_is_what_a_loop_by_the_rule_gives(rr_s: list[float], beyond_s: float) -> None:
    times = (np.rint((100.0 + np.cumsum([0.0, *rr_s])) * 1e3) / 1e3).tolist()
    now = round(times[-1] + beyond_s, 3) + 0.0005
    out = intervals.summary(ring_of(times), as_of(now))
    assert_allclose(out.hr_bpm[0], heart_rate(times, now), rtol=1e-9)


@given(st.lists(st.floats(0.28, 2.2), min_size=0, max_size=120))
def test_variability_is_what_a_loop_gives(rr_s: list[float]) -> None:
    times = (np.rint((100.0 + np.cumsum([0.0, *rr_s])) * 1e3) / 1e3).tolist()
    now = times[-1] + 0.0005
    out = intervals.summary(ring_of(times), as_of(now))
    assert_allclose([out.rmssd_ms[0], out.sdnn_ms[0]], variability_ms(times, now), rtol=1e-6)


def test_beats_after_the_time_asked_for_change_nothing() -> None:
    times = every(0.8, 30)
    laws.same(
        intervals.summary(ring_of(times), as_of(110.0)),
        intervals.summary(ring_of([t for t in times if t <= 110.0]), as_of(110.0)),
    )


@pytest.mark.parametrize(("bpm", "beats"), [(30.0, 5), (60.0, 9), (220.0, 9)])
def test_a_steady_heart_has_its_rate_and_no_spread(bpm: float, beats: int) -> None:
    out = intervals.summary(ring_of(every(60.0 / bpm, 60)), as_of(100.0 + 59.0 * 60.0 / bpm), 2.0)
    assert out.hr_bpm[0] == pytest.approx(bpm, rel=1e-6)
    assert out.rr_ms[0] == pytest.approx(60_000.0 / bpm, rel=1e-6)
    assert out.rr_u[0] == pytest.approx(np.sqrt(2.0) * 2.0)
    n = beats if bpm == 30.0 else 8
    assert out.hr_u[0] == pytest.approx(bpm * np.sqrt(2.0) * 2.0 / n / (60_000.0 / bpm), rel=1e-3)
    assert out.quality[0] == 1.0


def test_the_uncertainty_of_the_rate_covers_what_jitter_does_to_it() -> None:
    rng = np.random.default_rng(1)
    rates, u = [], []
    for _ in range(300):
        times = (100.0 + 0.8 * np.arange(9) + 0.005 * rng.standard_normal(9)).tolist()
        out = intervals.summary(ring_of(times), as_of(107.0), 5.0)
        rates.append(out.hr_bpm[0])
        u.append(out.hr_u[0])
    assert 0.85 * np.std(rates) < np.mean(u) < 1.2 * np.std(rates)


def test_there_is_no_rate_before_two_intervals_nor_after_four_seconds_of_silence() -> None:
    one, two = every(0.8, 2), every(0.8, 3)
    out = intervals.summary(ring_of(one, two, two, []), as_of(101.7, 101.7, 105.7, 101.7))
    assert_array_equal(np.isnan(out.hr_bpm), [True, False, True, True])
    assert_array_equal(np.isnan(out.hr_u), [True, False, True, True])
    assert_array_equal(out.quality > 0.0, [False, True, False, False])
    assert_array_equal(out.last_beat_ns, as_of(100.8, 101.6, 101.6, 0.0))


def test_an_interval_across_a_gap_is_none() -> None:
    times = [*every(0.8, 10), *every(0.8, 4, start_s=109.5)]
    out = intervals.summary(ring_of(times), as_of(112.0), since_ns=as_of(109.0))
    assert out.hr_bpm[0] == pytest.approx(75.0)
    assert out.n_beats[0] == 4


def test_an_ectopic_beat_and_its_pause_leave_the_variability_alone() -> None:
    times = every(0.8, 40)
    times[20] -= 0.35
    out = intervals.summary(ring_of(times), as_of(131.5))
    assert out.rmssd_ms[0] < 1e-3
    assert out.sdnn_ms[0] < 1e-3


def test_nine_intervals_are_too_few_for_variability() -> None:
    out = intervals.summary(ring_of(every(0.8, 11), every(0.8, 12)), as_of(109.0, 109.0))
    assert_array_equal(np.isnan(out.sdnn_ms), [True, False])


def test_a_row_alone_equals_the_row_in_a_bank() -> None:
    rng = np.random.default_rng(0)
    rows = [np.cumsum(rng.uniform(0.3, 2.0, n)).tolist() for n in (90, 3, 40, 1, 12)]
    alone = intervals.summary(ring_of(rows[0]), as_of(80.0), np.array([1.5]))
    for n in laws.BANK_SIZES:
        picked = [rows[k % 5] for k in range(n)]
        picked[n // 2] = rows[0]
        out: IntervalsOut = intervals.summary(ring_of(*picked), np.full(n, 80 * SECOND), np.full(n, 1.5))
        laws.same(laws.rows(out, slice(n // 2, n // 2 + 1)), alone)
