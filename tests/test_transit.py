"""Pulse transit: a known delay is found among early beats, lost pulses and noise, and nothing is told without pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anomaly.median import median
from anomaly.transit import transit

Ints = NDArray[np.int64]
MS, NS = 1_000_000, 1_000_000_000


def pairs(n: int, delay_ms: float, spread_ms: float = 0.0, rr_ms: float = 800.0, seed: int = 1) -> tuple[Ints, Ints]:
    """Beats and the feet of their pulses."""
    rng = np.random.default_rng(seed)
    beats = (100 * NS + np.cumsum(rr_ms * (1.0 + 0.05 * rng.standard_normal(n))) * MS).astype(np.int64)
    feet = beats + ((delay_ms + spread_ms * rng.standard_normal(n)) * MS).astype(np.int64)
    return beats[None], feet[None]


@settings(max_examples=25, deadline=None)
@given(st.floats(80.0, 400.0), st.floats(320.0, 1500.0), st.integers(0, 2**16))
def test_a_delay_is_found_at_any_rate_to_what_is_said(delay_ms: float, rr_ms: float, seed: int) -> None:
    beats, feet = pairs(64, min(delay_ms, 0.9 * rr_ms), 4.0, rr_ms, seed)
    out = transit(beats, feet, beats[:, -1])
    if delay_ms < 0.75 * rr_ms - 60.0:
        assert abs(out.ms[0] - delay_ms) < 3.5 * out.u_ms[0]
        assert out.u_ms[0] < 5.0


def test_beats_without_a_pulse_and_pulses_without_a_beat_change_little() -> None:
    beats, feet = pairs(40, 220.0, 3.0)
    feet[0, 5::4] = 0  # early beats drive no blood
    beats[0, 6::9] = 0
    out = transit(beats, feet, beats[:, -1])
    assert out.ms[0] == pytest.approx(220.0, abs=3.0)
    assert out.share[0] < 0.95


def test_nothing_is_told_of_too_few_or_of_what_does_not_belong_together() -> None:
    beats, feet = pairs(40, 220.0)
    few = feet.copy()
    few[0, :-6] = 0
    strangers = beats + np.random.default_rng(2).integers(70, 440, beats.shape) * MS
    for light in (few, np.zeros_like(feet), strangers):
        out = transit(beats, light, beats[:, -1])
        assert np.isnan(out.ms[0])
        assert np.isnan(out.u_ms[0])
    assert np.isnan(transit(beats, feet, beats[:, -1] + 60 * NS).ms[0])  # long ago


def test_a_row_alone_is_as_in_a_bank_and_a_loop_says_the_same() -> None:
    rows = [pairs(48, 180.0 + 20.0 * k, 5.0, 700.0 + 60.0 * k, k) for k in range(7)]
    beats, feet = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
    end = beats[:, -1]
    together = transit(beats, feet, end)
    for k in range(7):
        assert [leaf[0] for leaf in transit(beats[k : k + 1], feet[k : k + 1], end[k : k + 1])] == [
            leaf[k] for leaf in together
        ]
        delays = []
        for foot in feet[k][(feet[k] > end[k] - 30 * NS) & (feet[k] <= end[k])]:
            before = [foot - beat for beat in beats[k] if end[k] - 30 * NS < beat <= end[k] and foot - beat >= 60 * MS]
            if before and min(before) <= 450 * MS:
                delays.append(min(before) / MS)
        assert together.ms[k] == np.median(delays)
        assert together.n_pairs[k] == len(delays)


def test_the_median_of_what_is_there_is_numpys() -> None:
    rng = np.random.default_rng(3)
    values, used = rng.standard_normal((50, 9)), rng.random((50, 9)) < 0.5
    for row, there, found in zip(values, used, median(values, used), strict=True):
        assert found == np.median(row[there]) if there.any() else np.isnan(found)
