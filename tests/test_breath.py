"""Breath rate: what is slow is kept whatever the packets, every series says what it can, and the belief follows."""

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from oracle_vitals import beat_line, picked
from scipy import signal

from anomaly import intervals
from anomaly.breath import EVERY_S, N_RATES, RATES, BreathTracker, evidence
from anomaly.modulation import beat_heights, beat_series
from anomaly.slow import GRID_HZ, N_GRID, SlowRing
from anomaly.strip import StripRing

Array = NDArray[np.float64]
S = 1_000_000_000


def breathing(rate_bpm: float, noise: float = 0.3, n: int = 1, seed: int = 0, seconds: float = 32.0) -> Array:
    """Series of 4 Hz that breath moves, shape (n, seconds * 4)."""
    t = np.arange(round(seconds * GRID_HZ)) / GRID_HZ
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0.0, 2.0 * np.pi, (n, 1))
    return np.sin(2.0 * np.pi * rate_bpm / 60.0 * t + phase) + noise * rng.standard_normal((n, len(t)))


def looks(rates_bpm: Array, noise: float = 0.5, seed: int = 0) -> list[Array]:
    """What three series say at each look while the rate goes as named, one value per look."""
    per_look = round(EVERY_S * GRID_HZ)
    rng = np.random.default_rng(seed)
    turns = np.cumsum(np.repeat(rates_bpm, per_look)) / 60.0 / GRID_HZ
    series = np.sin(2.0 * np.pi * (turns + np.array([[0.0], [0.2], [0.6]])))
    series += noise * rng.standard_normal(series.shape)
    ends = range(N_GRID, series.shape[-1] + 1, per_look)
    return [evidence(series[None, :, end - N_GRID : end], np.zeros(3)).sum(axis=1) for end in ends]


@pytest.mark.parametrize(("rate_hz", "block"), [(100.0, 25), (52.0, 13), (360.0, 90)])
def test_the_ring_of_what_is_slow_keeps_the_laws(rate_hz: float, block: int) -> None:
    kernel = SlowRing(rate_hz)
    x = np.random.default_rng(1).standard_normal((5, 2, block * 12)) + 1000.0
    blocks = laws.cut(x, range(block, x.shape[-1], block))
    laws.a_row_alone_equals_the_row_in_a_bank(kernel, blocks)
    laws.gathering_rows_between_steps_changes_nothing(kernel, blocks)
    laws.a_step_writes_to_no_argument(kernel, blocks)
    laws.state_survives_pickling(kernel, blocks)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 1999), max_size=6, unique=True), st.sampled_from([50.0, 52.0, 47.7]))
def test_any_cut_keeps_the_same_slow_samples_as_a_loop_picks(edges: list[int], rate_hz: float) -> None:
    kernel = SlowRing(rate_hz)
    x = np.random.default_rng(0).standard_normal((2, 2, 2000))
    state, _ = laws.run(kernel, laws.cut(x, sorted(edges)))
    laws.same(state, laws.run(kernel, [x])[0])
    window = kernel.window(state, np.full(2, 1999.0))
    for row in range(2):
        for channel in range(2):
            low = signal.sosfilt(kernel.low.sos, x[row, channel] - x[row, channel, 0])
            expected = picked(low, rate_hz, GRID_HZ)
            assert_allclose(window[row, channel], np.array(expected)[-N_GRID:], rtol=1e-5, atol=1e-6)


def test_what_is_too_old_or_still_to_come_is_no_number() -> None:
    kernel = SlowRing(50.0)
    state, _ = kernel.step(kernel.init(np.ones((1, 1, 1))), np.ones((1, 1, 2500)))
    assert np.isfinite(kernel.window(state, np.array([2490.0]))).all()
    assert np.isnan(kernel.window(state, np.array([1500.0]))[0, 0, :10]).all()
    assert np.isnan(kernel.window(state, np.array([2600.0]))[0, 0, -5:]).all()


def test_lines_between_beats_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    ring = intervals.empty(4, 128)
    end_s, since_s = 100.0, 60.0
    for row, mean_s in enumerate((0.5, 0.8, 1.1)):
        at = np.cumsum(mean_s * (1.0 + 0.1 * rng.standard_normal(100))) + 60.0
        at = at[at < 101.0]
        times, values = np.zeros((4, len(at)), np.int64), np.zeros((4, len(at)))
        times[row], values[row] = np.rint(at * S).astype(np.int64), rng.uniform(1.0, 2.0, len(at))
        ring = intervals.push(ring, times, values)
    series = beat_series(ring, np.full(4, round(end_s * S)), np.full(4, round(since_s * S)))
    grid = end_s - np.arange(N_GRID - 1, -1, -1) / GRID_HZ
    for row in range(3):
        times_s, values = ring.times_ns[row] / S, ring.quality[row].astype(np.float64)
        expected = beat_line(times_s.tolist(), values.tolist(), end_s, since_s, grid.tolist())
        assert_allclose(series[row], np.array(expected), rtol=1e-6)
    assert np.isnan(series[3]).all()


def test_no_line_is_drawn_across_a_hole() -> None:
    times = np.concatenate([np.arange(60.0, 80.0, 0.8), np.arange(86.0, 100.0, 0.8)])
    ring = intervals.push(intervals.empty(1, 96), np.rint(times[None] * S).astype(np.int64), np.ones((1, len(times))))
    series = beat_series(ring, np.array([100 * S]), np.array([1]))[0]
    grid = 100.0 - np.arange(N_GRID - 1, -1, -1) / GRID_HZ
    assert np.isnan(series[:, (grid > 80.0) & (grid < 86.0)]).all()
    assert np.isfinite(series[:, ((grid > 68.0) & (grid < 79.0)) | (grid > 87.0)]).all()
    assert np.isnan(beat_series(ring, np.array([80 * S]), np.array([1]))[0, :, :30]).all()


def test_the_height_of_a_beat_is_read_from_the_strip() -> None:
    t = np.arange(0.0, 10.0, 1.0 / 250.0)
    heights = 1.0 + 0.2 * np.arange(10)
    beats = sum(h * np.exp(-0.5 * ((t - k - 0.5) / 0.02) ** 2) for k, h in enumerate(heights))
    strip = StripRing(250.0)
    state, _ = strip.step(strip.init(np.zeros((1, 1, 1))), np.asarray(beats)[None, None])
    at = np.asarray((np.arange(10) + 0.5)[None] * 250.0, np.float64)
    at[0, 3] = np.nan
    found = beat_heights(strip, state, at)
    assert found[0, 3] == 0.0
    there = np.arange(10) != 3
    assert_allclose(found[0, there] / found[0, 0], heights[there], rtol=0.03)


def test_evidence_of_a_row_does_not_depend_on_its_bank() -> None:
    series = np.stack([breathing(10.0 + k, n=3, seed=k) for k in range(17)])
    series[2, 1, :20] = np.nan
    whole = evidence(series, np.array([0.0, 10.0, 0.0]))
    for row in range(17):
        assert_array_equal(evidence(series[row : row + 1].copy(), np.array([0.0, 10.0, 0.0]))[0], whole[row])


@pytest.mark.parametrize("rate_bpm", [5.0, 8.0, 12.0, 18.0, 30.0, 42.0])
def test_evidence_peaks_at_the_rate(rate_bpm: float) -> None:
    said = evidence(breathing(rate_bpm, n=20)[:, None], np.zeros(1))[:, 0]
    assert np.all(np.abs(RATES[said.argmax(axis=-1)] - rate_bpm) < 0.8)


def test_a_drift_and_a_step_of_the_baseline_do_not_hide_a_breath() -> None:
    t = np.linspace(0.0, 1.0, N_GRID)
    series = breathing(15.0) + 20.0 * t - 30.0 * t**2 + 3.0 * np.cos(2.0 * np.pi * 0.8 * t)
    said = evidence(series[:, None], np.zeros(1))[0, 0]
    assert abs(RATES[said.argmax()] - 15.0) < 0.8


def test_a_series_that_is_not_there_says_nothing() -> None:
    series = breathing(15.0, n=4)[None]
    series[0, 0, : N_GRID // 3] = np.nan
    series[0, 1] = np.nan
    series[0, 2] = 7.0
    said = evidence(series, np.zeros(4))[0]
    assert not said[:3].any()
    assert said[3].max() > 1.0


def test_the_tracker_keeps_the_laws() -> None:
    kernel = BreathTracker()
    said = [np.repeat(one, 5, axis=0) * np.arange(5)[:, None] for one in looks(np.full(40, 14.0))]
    laws.a_row_alone_equals_the_row_in_a_bank(kernel, said)
    laws.gathering_rows_between_steps_changes_nothing(kernel, said)
    laws.a_step_writes_to_no_argument(kernel, said)
    laws.state_survives_pickling(kernel, said)


@pytest.mark.parametrize("rate_bpm", [6.0, 14.0, 28.0, 38.0])
def test_a_steady_rate_is_believed_after_half_a_minute_more(rate_bpm: float) -> None:
    kernel = BreathTracker()
    _, outs = laws.run(kernel, looks(np.full(45, rate_bpm)))
    for out in outs[15:]:
        assert abs(out.rate_bpm[0] - rate_bpm) < 1.0
        assert out.quality[0] > 0.5
        assert 0.0 < out.u[0] < 3.0


def test_a_rate_that_jumps_is_followed_within_a_minute() -> None:
    rates = np.concatenate([np.full(60, 14.0), np.full(60, 30.0)])
    _, outs = laws.run(BreathTracker(), looks(rates))
    jump = 60 - N_GRID // round(EVERY_S * GRID_HZ)
    assert abs(outs[jump].rate_bpm[0] - 14.0) < 1.0
    assert all(abs(out.rate_bpm[0] - 30.0) < 1.5 for out in outs[jump + 30 :])


def test_without_evidence_the_belief_returns_to_what_is_usual_and_is_not_good() -> None:
    kernel = BreathTracker()
    state, outs = laws.run(kernel, [*looks(np.full(45, 33.0)), *[np.zeros((1, N_RATES))] * 400])
    assert outs[25].quality[0] > 0.5
    assert outs[-1].quality[0] < 0.5
    assert abs(outs[-1].rate_bpm[0] - kernel.usual_bpm) < 4.0
    assert_allclose(state.belief[0], kernel.usual, atol=6e-3)


def test_noise_is_not_believed() -> None:
    rng = np.random.default_rng(5)
    said = [evidence(rng.standard_normal((50, 3, N_GRID)), np.zeros(3)).sum(axis=1) for _ in range(20)]
    _, outs = laws.run(BreathTracker(), said)
    assert np.mean(outs[-1].quality < 0.5) > 0.9


@pytest.mark.parametrize(
    "wrong", [{"wander_bpm": 0.0}, {"surprise": 1.0}, {"temper": 0.6}, {"usual_bpm": 60.0}, {"usual_spread": 0.0}]
)
def test_what_is_no_model_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="need"):
        BreathTracker(**wrong)


def test_rates_that_would_alias_are_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz=3"):
        SlowRing(3.0)
    with pytest.raises(ValueError, match="low_hz=2"):
        SlowRing(50.0, 2.0)
