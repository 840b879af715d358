"""The beat detector: laws, a slow twin, invariances, pauses, noise, and floors on recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import oracle_beats
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from laws import (
    a_row_alone_equals_the_row_in_a_bank,
    a_step_writes_to_no_argument,
    cut,
    gathering_rows_between_steps_changes_nothing,
    leaves,
    run,
    same,
    state_survives_pickling,
)
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from anomaly.beats import BeatDetector, BeatsOut, BeatState
from deploy.evaluate.beats import evaluate
from deploy.evaluate.request import Request

Array = NDArray[np.float64]
RATE = 250.0
KERNEL = BeatDetector(RATE)


def heart(beats: Array, seconds: float, rate_hz: float = RATE, size: Array | float = 1.0) -> Array:
    """One lead with P, Q, R and T waves, R peaks of height `size` at the times named."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    x = np.zeros(len(t))
    waves = ((1.0, 0.0, 0.012), (-0.2, -0.03, 0.01), (0.25, 0.28, 0.045), (0.1, -0.16, 0.025))
    for at, height in zip(beats, np.broadcast_to(size, beats.shape), strict=True):
        near = np.abs(t - at) < 0.6
        for share, shift, width in waves:
            x[near] += height * share * np.exp(-0.5 * ((t[near] - at - shift) / width) ** 2)
    return x


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def ward(seconds: float = 12.0, channels: int = 1, rate_hz: float = RATE) -> Array:
    """Five patients of different rate, rhythm and noise."""
    n = round(seconds * rate_hz)
    irregular = np.cumsum(np.random.default_rng(1).uniform(0.35, 1.2, 60))
    lone = np.array([0.5, 1.3, 2.1, 2.9, 3.7, 9.5, 10.3])
    hearts = [np.arange(0.4, seconds, 60.0 / bpm) for bpm in (50, 75, 190)] + [irregular, lone]
    x = np.stack([heart(beats[beats < seconds], seconds, rate_hz) for beats in hearts])[:, None, :]
    mix = np.linspace(1.0, -0.6, channels)[:, None]
    return x * mix + 0.05 * noise(5, channels, n) + 3.0


def found(x: Array, kernel: BeatDetector = KERNEL, packet: int = 62) -> Array:
    """Times (s) of the beats in one signal of shape ``(n_samples,)`` or ``(n_channels, n_samples)``."""
    outputs = run(kernel, cut(np.atleast_2d(x)[None], range(packet, x.shape[-1], packet)))[1]
    at = np.concatenate([out.at[0] for out in outputs])
    return np.sort(at[~np.isnan(at)]) / kernel.rate_hz


def listed(outputs: Sequence[BeatsOut], row: int) -> Array:
    """At, found_back, quality and decided of each beat of a row, in order of decision: shape (n_beats, 4)."""
    parts = [np.stack([out.at, out.found_back, out.quality, out.decided], axis=-1)[row] for out in outputs]
    return np.concatenate([part[~np.isnan(part[:, 0])] for part in parts])


def assert_all_found(at: Array, beats: Array, within_s: float = 0.02) -> None:
    """Each beat has its detection and the other way about."""
    assert len(at) == len(beats), (at.round(2), beats.round(2))
    assert_allclose(at, beats, atol=within_s)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_row_alone_equals_the_row_in_a_bank(channels: int) -> None:
    a_row_alone_equals_the_row_in_a_bank(KERNEL, cut(ward(6.0, channels), range(125, 1500, 125)))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_other_laws_hold(channels: int) -> None:
    blocks = cut(ward(12.0, channels), range(62, 3000, 62))
    gathering_rows_between_steps_changes_nothing(KERNEL, blocks)
    a_step_writes_to_no_argument(KERNEL, blocks)
    state_survives_pickling(KERNEL, blocks)


def test_state_has_the_device_on_axis_0_and_shares_no_memory_with_the_block() -> None:
    block = ward(1.0, 2)
    state: BeatState = KERNEL.init(block)
    state, _ = KERNEL.step(state, block)
    for path, leaf in leaves(state):
        assert leaf.shape[0] == len(block), path
        assert not np.shares_memory(leaf, block), path


@given(st.lists(st.integers(1, 2999), max_size=12, unique=True), st.sampled_from([1, 2]))
def test_any_cut_gives_the_same_beats_and_the_same_state(edges: list[int], channels: int) -> None:
    x = ward(12.0, channels)
    whole_state, whole = run(KERNEL, [x])
    state, outputs = run(KERNEL, cut(x, sorted(edges)))
    same(state, whole_state)
    for row in range(len(x)):
        assert_array_equal(listed(outputs, row), listed(whole, row))
    assert_array_equal(outputs[-1].signal, whole[-1].signal)
    assert_array_equal(outputs[-1].noise, whole[-1].noise)


@pytest.mark.parametrize("packet", [1, 7, 62, 250])
def test_packets_of_any_length_give_the_same_beats(packet: int) -> None:
    x = ward(8.0)[:3]
    state, outputs = run(KERNEL, cut(x, range(packet, x.shape[-1], packet)))
    whole_state, whole = run(KERNEL, [x])
    same(state, whole_state)
    for row in range(3):
        assert_array_equal(listed(outputs, row), listed(whole, row))


def test_rows_that_began_at_different_samples_give_what_they_give_alone() -> None:
    x = ward(12.0)
    early: BeatState
    (early, _), late = KERNEL.step(KERNEL.init(x[:2]), x[:2, :, :31]), KERNEL.init(x[2:])
    state = BeatState(*(_stacked(a, b) for a, b in zip(early, late, strict=True)))
    state, out = KERNEL.step(state, x[..., 31:])
    _, first = KERNEL.step(early, x[:2, :, 31:])
    _, rest = KERNEL.step(late, x[2:, :, 31:])
    for name in BeatsOut._fields:
        assert_array_equal(getattr(out, name), np.concatenate([getattr(first, name), getattr(rest, name)]))
    KERNEL.step(state, x[..., :1])


def _stacked(a: Any, b: Any) -> Any:  # noqa: ANN401 - a tree of arrays
    if isinstance(a, tuple):
        return type(a)(*(_stacked(x, y) for x, y in zip(a, b, strict=True)))
    return np.concatenate([a, b])


@given(
    seed=st.integers(0, 10**6),
    channels=st.sampled_from([1, 3]),
    level=st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]),
    step=st.sampled_from([0.0, 5.0, 1e4]),
)
@example(seed=267, channels=1, level=0.3, step=0.0)  # learns twice within 16 candidates
def test_the_bank_equals_its_slow_twin(seed: int, channels: int, level: float, step: float) -> None:
    rng = np.random.default_rng(seed)
    beats = np.cumsum(rng.choice([0.3, 0.45, 0.8, 0.8, 0.8, 1.5, 5.0], 40))
    beats = beats[beats < 20.0]
    x = heart(beats, 20.0, size=rng.choice([0.2, 1.0, 1.0, 1.0, 3.0], len(beats)))
    x = x * np.linspace(1.0, -0.5, channels)[:, None] + level * rng.standard_normal((channels, len(x)))
    x[:, 2500:] += step
    expected = oracle_beats.beats(KERNEL, x)
    _, outputs = run(KERNEL, cut(x[None], range(62, 5000, 62)))
    got = listed(outputs, 0)
    assert_array_equal(got[:, 3], [beat.decided for beat in expected])
    assert_array_equal(got[:, 1], [beat.found_back for beat in expected])
    assert_allclose(got[:, 0], [beat.at for beat in expected], atol=1e-4)


@pytest.mark.parametrize("scale", np.logspace(-4, 4, 9))
def test_the_unit_of_the_signal_changes_nothing(scale: float) -> None:
    x = ward(12.0, 3)
    expected, got = (run(KERNEL, cut(y, range(125, 3000, 125)))[1] for y in (x, scale * x))
    for row in range(len(x)):
        assert_allclose(listed(got, row), listed(expected, row), atol=1e-6)


def test_the_sign_of_a_channel_changes_nothing() -> None:
    x = ward(12.0, 3)
    turned = x * np.array([1.0, -1.0, -1.0])[:, None]
    _, (expected,) = run(KERNEL, [x])
    _, (got,) = run(KERNEL, [turned])
    assert_allclose(got.at, expected.at, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [125.0, 200.0, 250.0, 360.0, 500.0, 1000.0])
@pytest.mark.parametrize("bpm", [30, 75, 140, 220])
def test_every_rate_and_every_sampling_rate_is_followed(rate_hz: float, bpm: int) -> None:
    beats = np.arange(0.6, 20.0, 60.0 / bpm)
    x = heart(beats, 20.0, rate_hz) + 0.02 * noise(round(20 * rate_hz))
    at = found(x, BeatDetector(rate_hz), round(rate_hz / 4))
    assert_all_found(at[at > 3.1], beats[(beats > 3.1) & (beats < 19.8)], 0.006)


def test_an_ordinary_beat_is_decided_within_a_quarter_of_a_second() -> None:
    x = heart(np.arange(0.5, 30.0, 0.8), 30.0) + 0.02 * noise(7500)
    _, (out,) = run(KERNEL, [x[None, None]])
    delay = (out.decided - out.at)[~np.isnan(out.at)] / RATE
    assert delay.max() <= 0.25
    assert abs(np.median(delay) - KERNEL.delay_s) < 0.01


def test_bigeminy_with_ectopic_beats_four_times_as_large_is_followed() -> None:
    beats = np.concatenate([np.arange(0.5, 39.0, 1.6), np.arange(0.98, 39.0, 1.6)])
    beats.sort()
    size = np.where(np.arange(len(beats)) % 2 == 0, 1.0, -4.0)
    at = found(heart(beats, 40.0, size=size) + 0.03 * noise(10000))
    assert_all_found(at[at > 3.0], beats[(beats > 3.0) & (beats < 39.8)])


def test_a_tall_t_wave_is_no_beat() -> None:
    beats = np.arange(0.5, 30.0, 0.9)
    tall = heart(beats + 0.28, 30.0, size=0.0)
    t = np.arange(len(tall)) / RATE
    for at in beats:
        tall += 0.9 * np.exp(-0.5 * ((t - at - 0.28) / 0.05) ** 2)
    at = found(heart(beats, 30.0) + tall + 0.02 * noise(7500))
    assert_all_found(at[at > 3.0], beats[(beats > 3.0) & (beats < 29.8)])


def test_a_small_beat_is_found_back_and_marked() -> None:
    beats = np.arange(0.5, 30.0, 0.8)
    size = np.where(np.arange(len(beats)) == 20, 0.28, 1.0)
    _, outputs = run(KERNEL, cut((heart(beats, 30.0, size=size) + 0.01 * noise(7500))[None, None], range(62, 7500, 62)))
    rows = listed(outputs, 0)
    back = rows[rows[:, 1] > 0]
    assert len(back) == 1
    assert abs(back[0, 0] / RATE - beats[20]) < 0.02
    assert np.all(np.diff(rows[:, 0]) > 0)


@pytest.mark.parametrize("kind", ["white", "brown", "white in four channels", "mains", "flat", "offset"])
def test_noise_and_flat_lines_have_no_beats(kind: str) -> None:
    n = round(240 * RATE)
    t = np.arange(n) / RATE
    x = {
        "white": noise(10, 1, n),
        "brown": np.cumsum(noise(10, 1, n), axis=-1),
        "white in four channels": noise(5, 4, n),
        "mains": 1000.0 + np.sin(2 * np.pi * 50.0 * t)[None, None] + 0.01 * noise(10, 1, n),
        "flat": np.zeros((3, 1, n)),
        "offset": np.broadcast_to(np.array([1.0, 1e6, -3e-7])[:, None, None], (3, 1, n)).copy(),
    }[kind]
    _, (out,) = run(KERNEL, [x])
    # In 40 minutes of white noise none; brown noise has jumps like beats, a few in an hour.
    assert (~np.isnan(out.at)).sum() <= (6 if kind == "brown" else 0)


def test_asystole_is_empty_and_beats_are_found_again_when_they_come_back_smaller() -> None:
    beats = np.concatenate([np.arange(0.5, 30.0, 0.8), np.arange(60.0, 90.0, 0.9)])
    x = heart(beats, 90.0, size=np.where(beats > 45.0, 0.25, 1.0)) + 0.02 * noise(round(90 * RATE))
    at = found(x)
    assert_all_found(at[at > 3.0], beats[(beats > 3.0) & (beats < 89.8)])


@pytest.mark.parametrize("height", [-1e4, 30.0, 1e4])
def test_a_huge_step_deafens_for_three_seconds_at_most(height: float) -> None:
    beats = np.arange(0.5, 60.0, 0.8)
    x = heart(beats, 60.0) + 0.02 * noise(15000)
    x[7500:] += height
    at = found(x)
    assert_all_found(at[at > 33.0], beats[(beats > 33.0) & (beats < 59.8)])


def test_a_burst_while_learning_is_forgotten() -> None:
    beats = np.arange(0.5, 40.0, 0.8)
    x = heart(beats, 40.0) + 0.02 * noise(10000)
    x[:500] += 30.0 * noise(500, seed=1)
    at = found(x)
    assert_all_found(at[at > 9.0], beats[(beats > 9.0) & (beats < 39.8)])


def test_an_artefact_far_above_the_beats_while_learning_deafens_for_half_a_minute_at_most() -> None:
    beats = np.arange(0.5, 60.0, 0.8)
    x = heart(beats, 60.0) + 0.01 * noise(round(60.0 * RATE))
    x[round(0.8 * RATE) : round(1.8 * RATE)] += 1e5 * noise(round(1.8 * RATE) - round(0.8 * RATE), seed=4)
    at = found(x)
    assert_all_found(at[at > 30.0], beats[(beats > 30.0) & (beats < 59.8)])


def test_a_saturated_sensor_has_no_beats_and_recovers() -> None:
    beats = np.arange(0.5, 60.0, 0.8)
    x = heart(beats, 60.0) + 0.02 * noise(15000)
    x[5000:8000] = 5.0
    at = found(x)
    assert not np.any((at > 20.5) & (at < 31.9))
    assert_all_found(at[at > 35.0], beats[(beats > 35.0) & (beats < 59.8)])


@pytest.mark.parametrize("fault", ["dead", "wild", "noisy"])
def test_one_bad_channel_of_four_hides_no_beats(fault: str) -> None:
    beats = np.arange(0.5, 60.0, 0.8)
    x = np.array([1.0, -0.5, 0.8, 0.2])[:, None] * heart(beats, 60.0) + 0.02 * noise(4, 15000)
    if fault == "dead":
        x[0, 7500:] = 0.0
    elif fault == "wild":
        x[0, 7500:] += np.cumsum(noise(7500, seed=2))
    else:
        x[0] += 5.0 * noise(15000, seed=3)
    at = found(x)
    at, beats = at[(at > 4.0) & (np.abs(at - 31.5) > 1.6)], beats[(beats > 4.0) & (np.abs(beats - 31.5) > 1.6)]
    assert_all_found(at, beats[beats < 59.75])


def test_quality_tells_clean_from_noisy_beats() -> None:
    beats = np.arange(0.5, 60.0, 0.8)
    x = heart(beats, 60.0)
    x = np.stack([x + 0.01 * noise(15000), x + 0.15 * noise(15000)])[:, None]
    _, (out,) = run(KERNEL, [x])
    clean, noisy = np.nanmean(out.quality, axis=1)
    assert clean > 0.85
    assert noisy < clean - 0.15
    assert np.nanmin(out.quality) >= 0.0
    assert np.nanmax(out.quality) <= 1.0


@pytest.mark.parametrize(
    "wrong", [{"rate_hz": 50.0}, {"rate_hz": 250.0, "high_hz": 120.0}, {"rate_hz": 250.0, "window_s": 0.3}]
)
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="need "):
        BeatDetector(**wrong)


@pytest.mark.recordings
def test_recorded_beats_are_found(recordings: Path) -> None:
    folder = recordings / "mitdb"
    if not folder.is_dir():
        pytest.skip(f"no MIT-BIH records at {folder}")
    report = evaluate(Request(folder), lambda _: None)
    # Changes may not lead to worse results; these numbers may only rise.
    assert report.gross.f1 >= 0.998
    assert min(report.gross.se, report.gross.ppv) >= 0.9975
    assert min(half.gross.f1 for half in report.halves) >= 0.997
    assert report.nonpaced.gross.f1 >= 0.998
    assert abs(report.gross.bias_ms) <= 5.0
    assert report.gross.spread_ms <= 12.0
    assert report.searched_back <= 0.005
    assert report.search_back_rr_max <= 1.7
    assert report.decision_s_median <= 0.25
    assert report.decision_s_max <= 0.3
