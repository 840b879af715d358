"""Fibrillation and tachycardia of the ventricles: laws, a slow twin, invariances, and beats that are none."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import (
    a_row_alone_equals_the_row_in_a_bank,
    a_step_writes_to_no_argument,
    cut,
    gathering_rows_between_steps_changes_nothing,
    run,
    same,
    state_survives_pickling,
)
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from anomaly.ventricular import VentricularDetector, VentricularOut
from anomaly.ventricular_features import NAMES, features

Array = NDArray[np.float64]
RATE = 250.0
KERNEL = VentricularDetector(RATE)


def beats(seconds: float, bpm: float, rate_hz: float = RATE) -> Array:
    """P, QRS and T at an even rate."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = (t * bpm / 60.0 % 1.0 - 0.4) * 60.0 / bpm
    waves = ((0.1, -0.16, 0.025), (-0.1, -0.03, 0.01), (1.0, 0.0, 0.012), (0.25, 0.26, 0.045))
    return np.asarray(sum(height * np.exp(-0.5 * ((phase - at) / width) ** 2) for height, at, width in waves))


def fibrillation(seconds: float, rate_hz: float = RATE) -> Array:
    """Waves about 4.6 Hz that wander and come and go."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    turn = 2.0 * np.pi * t
    first = (1.0 + 0.4 * np.sin(0.23 * turn)) * np.sin(4.6 * turn + 0.9 * np.sin(0.7 * turn))
    return first + 0.5 * (1.0 + 0.4 * np.sin(0.31 * turn)) * np.sin(5.7 * turn + 1.1 * np.sin(0.4 * turn))


def ward(seconds: float = 8.0, channels: int = 1, rate_hz: float = RATE) -> Array:
    """Beats at two rates, a wave, noise, and nothing at all."""
    n = round(seconds * rate_hz)
    rows = [beats(seconds, 70.0, rate_hz), beats(seconds, 150.0, rate_hz), fibrillation(seconds, rate_hz)]
    x = np.stack([*rows, noise(n), np.zeros(n)])[:, None] * np.linspace(1.0, -0.6, channels)[:, None]
    x[:4] += 0.02 * noise(4, channels, n)
    return x + 3.0


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def listed(outputs: Sequence[VentricularOut], row: int) -> Array:
    """What was decided of a row, in order, shape (n_decisions, 8)."""
    parts = [np.concatenate([np.stack([*out[:4], out.rate_hz], axis=-1), out.quick], axis=-1)[row] for out in outputs]
    return np.concatenate([part[~np.isnan(part[:, 0])] for part in parts])


@pytest.mark.parametrize("channels", [1, 4])
def test_a_row_alone_equals_the_row_in_a_bank(channels: int) -> None:
    a_row_alone_equals_the_row_in_a_bank(KERNEL, cut(ward(6.0, channels), range(125, 1500, 125)))


def test_the_other_laws_hold() -> None:
    blocks = cut(ward(8.0, 2), range(62, 2000, 62))
    gathering_rows_between_steps_changes_nothing(KERNEL, blocks)
    a_step_writes_to_no_argument(KERNEL, blocks)
    state_survives_pickling(KERNEL, blocks)


@settings(max_examples=12)
@given(
    st.lists(st.integers(1, 2879), max_size=8, unique=True), st.sampled_from([1, 2]), st.sampled_from([250.0, 360.0])
)
def test_any_cut_gives_the_same_decisions_and_the_same_state(edges: list[int], channels: int, rate_hz: float) -> None:
    kernel, x = VentricularDetector(rate_hz), ward(8.0, channels, rate_hz)
    whole_state, whole = run(kernel, [x])
    state, outputs = run(kernel, cut(x, [edge for edge in sorted(edges) if edge < x.shape[-1]]))
    same(state, whole_state)
    for row in range(len(x)):
        assert_array_equal(listed(outputs, row), listed(whole, row))


def test_it_decides_once_a_second_from_the_third_on() -> None:
    at = listed(run(KERNEL, cut(ward(8.0), range(62, 2000, 62)))[1], 0)[:, 0]
    assert_array_equal(np.ceil(at / RATE), [3, 4, 5, 6, 7, 8])


def test_it_tells_waves_from_beats_and_from_noise_whatever_the_unit_the_sign_and_the_rate_of_sampling() -> None:
    for rate_hz, size in ((128.0, 1.0), (250.0, -1e-12), (360.0, 1e6), (1000.0, -3.0)):
        x = size * ward(8.0, 2, rate_hz)
        kernel = VentricularDetector(rate_hz)
        _, outputs = run(kernel, [x])
        last = np.stack([listed(outputs, row)[-1] for row in range(4)])
        assert (last[:, 1] > 0.5).tolist() == [False, False, True, False], (rate_hz, last)
        assert (last[:, 2] > 0.5).tolist() == [False, False, True, False], (rate_hz, last)


def test_a_signal_that_is_flat_is_told_of_with_no_number() -> None:
    _, outputs = run(KERNEL, [ward(8.0)])
    assert np.isnan(listed(outputs, 4)[:, 1:]).all()


def test_one_lead_without_a_signal_does_not_count() -> None:
    x = ward(8.0, 2)
    x[:, 1] = 3.0
    _, both = run(KERNEL, [x])
    _, one = run(KERNEL, [x[:, :1]])
    for row in range(4):
        assert_array_equal(listed(both, row), listed(one, row))


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.floats(0.0, 2.0))
def test_the_features_equal_their_slow_twin(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    x = fibrillation(3.0, 100.0) * rng.uniform(0.0, 1.0) + level * rng.standard_normal(300) + rng.uniform(-5.0, 5.0)
    x += beats(3.0, 60.0, 100.0)
    assert_allclose(features(x[None]).values[0], slow_features(x), rtol=1e-9, atol=1e-9)


def slow_features(x: Array) -> list[float]:
    """The docstring of `features`, in loops."""
    x = x - x.mean()
    x = x / np.sqrt((x * x).mean())
    n = len(x)
    steps = np.diff(x)
    swift = float(np.sqrt((steps**2).mean()))
    steps = steps / swift

    def busy(part: Array, rank: float, share: float) -> float:
        top = sorted(part)[int(rank * len(part))]
        return float(np.mean([value > share * top for value in part]))

    slope = np.abs(steps)
    envelope = np.array([slope[k : k + 10].sum() for k in range(len(slope) - 9)])
    lag = round(np.pi * np.abs(x).sum() / np.abs(np.diff(x)).sum())
    lag = min(max(lag, 1), n // 4)
    left = sum(abs(x[k] + x[k - lag]) for k in range(lag, n)) / sum(abs(x[k]) + abs(x[k - lag]) for k in range(lag, n))
    power = (x * x).mean()
    undershoot = min(sum(x[k] * x[k - lag] for k in range(lag, n)) / (n - lag) / power for lag in range(60))
    span = x.max() - x.min()
    box = [min(int((value - x.min()) / span * 30), 29) for value in x]
    entered = {(box[k], box[k - 8]) for k in range(8, n)}
    return [
        busy(slope, 0.98, 0.1),
        busy(envelope, 0.95, 0.35),
        left,
        undershoot,
        len(entered) / (n - 8),
        float(np.log((steps**4).mean())),
        swift * 100.0 / (2.0 * np.pi),
    ]


def test_the_twin_names_as_many_as_there_are() -> None:
    assert len(slow_features(fibrillation(3.0, 100.0))) == len(NAMES)


@pytest.mark.parametrize("rate_hz", [50.0, 4000.0])
def test_a_rate_that_cannot_be_thinned_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="resample"):
        VentricularDetector(rate_hz)
