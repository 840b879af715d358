"""The strip holds the low-passed first lead at 125 Hz, wherever the packets were cut."""

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from oracle_vitals import picked
from scipy import signal

from anomaly.strip import StripRing

Array = NDArray[np.float64]


def wave(rate_hz: float, seconds: float, n: int = 3) -> Array:
    return np.random.default_rng(0).standard_normal((n, 2, round(rate_hz * seconds)))


@pytest.mark.parametrize(("rate_hz", "block"), [(500.0, 125), (360.0, 90), (1000.0, 250)])
def test_it_keeps_the_laws(rate_hz: float, block: int) -> None:
    strip = StripRing(rate_hz, seconds=1.0)
    x = wave(rate_hz, 1.5, 5)
    blocks = laws.cut(x, range(block, x.shape[-1], block))
    laws.a_row_alone_equals_the_row_in_a_bank(strip, blocks)
    laws.gathering_rows_between_steps_changes_nothing(strip, blocks)
    laws.a_step_writes_to_no_argument(strip, blocks)
    laws.state_survives_pickling(strip, blocks)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 1599), max_size=8, unique=True), st.sampled_from([125.0, 250.0, 360.0, 500.0, 477.3]))
def test_any_cut_keeps_the_same_samples_as_a_loop_picks(edges: list[int], rate_hz: float) -> None:
    strip = StripRing(rate_hz, seconds=2.0)
    x = wave(rate_hz, 1600.0 / rate_hz)
    state, outs = laws.run(strip, laws.cut(x, sorted(edges)))
    laws.same(state, laws.run(strip, [x])[0])
    for row in range(len(x)):
        low = signal.sosfilt(strip.low.sos, x[row, 0], zi=signal.sosfilt_zi(strip.low.sos) * x[row, 0, 0])[0]
        expected = np.array(picked(low, rate_hz, 125.0), np.float32)
        made = np.concatenate([out.samples[row][~np.isnan(out.samples[row])] for out in outs])
        assert_allclose(made, expected, rtol=1e-6, atol=1e-7)
        n = min(250, len(expected))
        kept = strip.take(state, np.full(len(x), len(expected) - n), n)[row]
        assert_array_equal(kept, made[-n:])


def test_the_numbers_of_the_samples_follow_each_other() -> None:
    strip = StripRing(360.0, seconds=2.0)
    _, outs = laws.run(strip, laws.cut(wave(360.0, 4.0), range(90, 1440, 90)))
    due = 0
    for out in outs:
        assert_array_equal(out.first, due)
        due += int(np.count_nonzero(~np.isnan(out.samples[0])))
    assert due == 500


def test_what_is_too_old_or_still_to_come_is_missing() -> None:
    strip = StripRing(500.0, seconds=2.0)
    state, _ = laws.run(strip, [wave(500.0, 3.0)])  # output samples 0 .. 374, of which 125 .. 374 are kept
    taken = strip.take(state, np.array([-10, 120, 370]), 10)
    assert np.isnan(taken[0]).all()
    assert_array_equal(np.isnan(taken[1]), [True] * 5 + [False] * 5)
    assert_array_equal(np.isnan(taken[2]), [False] * 5 + [True] * 5)


def test_the_seconds_before_a_moment_end_there() -> None:
    strip = StripRing(500.0)
    t = np.arange(6000) / 500.0
    state, _ = laws.run(strip, laws.cut(np.stack([t, t])[None], range(125, 6000, 125)))
    taken = strip.take_seconds(state, np.array([5000.0]), 4.0)[0]
    assert taken.shape == (500,)
    # A ramp comes out late by the delay of the filter.
    assert_allclose(taken, 6.0 + np.arange(500) / 125.0, atol=0.012)
    assert_allclose(np.diff(taken), 1.0 / 125.0, atol=1e-4)


def test_what_125_hz_cannot_hold_does_not_fold_into_it() -> None:
    strip = StripRing(500.0)
    t = np.arange(5000) / 500.0
    state, _ = laws.run(strip, [np.sin(2.0 * np.pi * 110.0 * t).reshape(1, 1, -1)])
    assert np.abs(strip.take(state, np.array([500]), 700)).max() < 10.0 ** (-30.0 / 20.0)


def test_rates_that_alias_or_invent_are_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        StripRing(100.0)
    with pytest.raises(ValueError, match="low_hz"):
        StripRing(500.0, low_hz=70.0)
