"""Conditions hold exactly when the beats prove them, begin when they were proven, and end with hysteresis."""

import laws
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from oracle_vitals import over_beats
from rings import SECOND, as_of, every, ring_of

from anomaly import intervals
from anomaly.conditions import asystole, extreme_bradycardia, extreme_tachycardia


def test_asystole_begins_four_seconds_after_the_last_beat() -> None:
    ring = ring_of(every(0.8, 10), every(0.8, 10))
    found = asystole(ring, as_of(111.1, 111.3), as_of(50.0, 50.0))
    assert_array_equal(found.true, [False, True])
    assert_array_equal(found.known, [True, True])
    assert_array_equal(found.onset_ns, as_of(0.0, 111.2))
    assert found.value[1] == pytest.approx(4.1)


def test_without_any_beat_asystole_counts_from_the_start_of_the_evidence() -> None:
    found = asystole(intervals.empty(3), as_of(14.0, 13.9, 9.0), as_of(10.0, 10.0, 10.0))
    assert_array_equal(found.true, [True, False, False])
    assert_array_equal(found.known, [True, False, False])
    assert_array_equal(found.onset_ns, as_of(14.0, 0.0, 0.0))


def test_a_beat_ends_asystole_at_once() -> None:
    times = [*every(0.8, 5), 110.0]
    assert not asystole(ring_of(times), as_of(110.1), as_of(0.1)).true[0]


@pytest.mark.parametrize(("bpm", "is_slow"), [(39.0, True), (41.0, False)])
def test_bradycardia_is_under_40_over_five_beats(bpm: float, is_slow: bool) -> None:  # noqa: FBT001 - a parameter of the table
    ring = ring_of(every(60.0 / bpm, 8))
    found = extreme_bradycardia(ring, as_of(100.0 + 7.5 * 60.0 / bpm), as_of(1.0))
    assert found.known[0]
    assert found.true[0] == is_slow
    assert found.value[0] == pytest.approx(bpm)
    assert found.onset_ns[0] == (as_of(100.0 + 4 * 60.0 / bpm)[0] if is_slow else 0)


def test_four_slow_beats_are_not_enough_to_know() -> None:
    found = extreme_bradycardia(ring_of(every(2.0, 4)), as_of(107.0), as_of(1.0))
    assert not found.known[0]
    assert not found.true[0]


def test_tachycardia_is_over_140_over_seventeen_beats() -> None:
    times = every(0.4, 17)
    ring = ring_of(times, times[:16])
    found = extreme_tachycardia(ring, as_of(106.5, 106.5), as_of(1.0, 1.0))
    assert_array_equal(found.true, [True, False])
    assert_array_equal(found.known, [True, False])
    assert_array_equal(found.onset_ns, [as_of(times[16])[0], 0])


def test_an_episode_keeps_its_onset_and_ends_only_beyond_the_hysteresis() -> None:
    times = every(60.0 / 38.0, 10)
    times += [times[-1] + 60.0 / 41.0 * k for k in range(1, 9)]  # slower than 42: goes on
    during = extreme_bradycardia(ring_of(times), as_of(times[-1] + 0.1), as_of(1.0))
    assert during.true[0]
    assert during.onset_ns[0] == as_of(times[4])[0]
    times += [times[-1] + 60.0 / 44.0 * k for k in range(1, 6)]
    assert not extreme_bradycardia(ring_of(times), as_of(times[-1] + 0.1), as_of(1.0)).true[0]


def test_silence_makes_slow_and_fast_unknown_and_leaves_the_word_to_asystole() -> None:
    ring = ring_of(every(0.4, 30))
    now = as_of(116.0)
    assert asystole(ring, now, as_of(1.0)).true[0]
    assert not extreme_tachycardia(ring, now, as_of(1.0)).known[0]
    assert not extreme_bradycardia(ring, now, as_of(1.0)).known[0]


def test_beats_before_a_gap_prove_nothing_after_it() -> None:
    ring = ring_of([*every(1.6, 5), *every(0.8, 3, start_s=120.0)])
    assert not extreme_bradycardia(ring, as_of(122.0), as_of(119.0)).known[0]


@given(st.lists(st.floats(0.3, 2.6), min_size=0, max_size=60))
def test_episodes_are_what_a_walk_over_the_beats_finds(rr_s: list[float]) -> None:
    times = (np.rint((100.0 + np.cumsum([0.0, *rr_s])) * 1e3) / 1e3).tolist()
    now = times[-1] + 0.5
    ring = ring_of(times)
    for found, expected in (
        (extreme_bradycardia(ring, as_of(now), as_of(1.0)), over_beats(times, now, 5, 40.0, 42.0)),
        (extreme_tachycardia(ring, as_of(now), as_of(1.0)), over_beats(times, now, 17, 140.0, 137.0)),
    ):
        assert (found.known[0], found.true[0]) == (expected.known, expected.true)
        assert np.isclose(found.value[0], expected.rate, rtol=1e-9, equal_nan=True)
        if expected.true:
            assert found.onset_ns[0] == as_of(expected.onset_s)[0]


def test_a_patients_own_limits_hold_for_that_row_only() -> None:
    ring = ring_of(every(60.0 / 45.0, 8), every(60.0 / 45.0, 8))
    now = as_of(*[100.0 + 7.1 * 60.0 / 45.0] * 2)
    found = extreme_bradycardia(ring, now, as_of(1.0, 1.0), np.array([40.0, 50.0]), np.array([42.0, 52.0]))
    assert_array_equal(found.true, [False, True])
    assert_array_equal(found.limit, [40.0, 50.0])


def test_a_row_alone_equals_the_row_in_a_bank() -> None:
    rng = np.random.default_rng(0)
    rows = [np.cumsum(rng.uniform(0.3, 2.0, n)).tolist() for n in (90, 3, 40, 1, 12)]
    for judge in (asystole, extreme_bradycardia, extreme_tachycardia):
        alone = judge(ring_of(rows[0]), as_of(80.0), as_of(1.0))
        for n in laws.BANK_SIZES:
            picked = [rows[k % 5] for k in range(n)]
            picked[n // 2] = rows[0]
            out = judge(ring_of(*picked), np.full(n, 80 * SECOND), np.full(n, SECOND))
            laws.same(laws.rows(out, slice(n // 2, n // 2 + 1)), alone)
