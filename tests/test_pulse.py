"""Pulses are found at every rate and with any number of wavelengths, and none where there is none."""

import csv
import gzip
from pathlib import Path
from typing import NamedTuple

import laws
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from oracle_vitals import PulseRules, heart_rate, pulses
from scipy import signal

from anomaly.pulse import PulseDetector, PulseOut

Array = NDArray[np.float64]
RATE_HZ, BLOCK = 100.0, 25
DETECTOR = PulseDetector(RATE_HZ)
COLOURS = np.array([1.0, 0.8, 0.6])


class Light(NamedTuple):
    """Photon counts with the pulses in them."""

    counts: Array  # (n_devices, n_wavelengths, n_samples)
    steepest_s: list[Array]  # per device


def light(bpm: float, n: int = 3, seconds: float = 60.0, photons: float = 1e6, perfusion: float = 0.015) -> Light:
    """Pulses with a dicrotic wave, 2 % jitter of the intervals and breath in the light."""
    rng = np.random.default_rng(round(bpm))
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    stretch = min(1.0, np.sqrt(60.0 / bpm))
    x, times = np.zeros((n, len(t))), []
    for row in range(n):
        peaks = np.cumsum(60.0 / bpm * (1.0 + 0.02 * rng.standard_normal(int(seconds * bpm / 60.0) + 2)))
        for at in peaks:
            since = (t - at) / stretch
            x[row] += np.exp(-0.5 * (since / 0.055) ** 2) + 0.38 * np.exp(-0.5 * ((since - 0.21) / 0.08) ** 2)
        times.append(peaks - 0.055 * stretch)
    mean = photons * COLOURS[:, None] * np.exp(-perfusion * x + 0.004 * np.sin(2.0 * np.pi * 0.25 * t))[:, None]
    return Light(rng.poisson(mean).astype(np.float64), times)


def found(counts: Array, detector: PulseDetector = DETECTOR, block: int = BLOCK) -> PulseOut:
    """All that a detector says of whole signals, columns side by side."""
    _, outs = laws.run(detector, laws.cut(counts, range(block, counts.shape[-1], block)))
    return PulseOut(*(np.concatenate([out[i] for out in outs], axis=-1) for i in range(5)))


def kept(row: Array) -> Array:
    values: Array = row[~np.isnan(row)]
    return values


def bank() -> list[Array]:
    counts = np.concatenate([light(60.0, 2, 8.0).counts, light(170.0, 1, 8.0).counts, np.full((2, 3, 800), 0.0)])
    counts[4] = 1e5
    return laws.cut(counts, range(BLOCK, 800, BLOCK))


def test_it_keeps_the_laws() -> None:
    blocks = bank()
    laws.a_row_alone_equals_the_row_in_a_bank(DETECTOR, blocks)
    laws.gathering_rows_between_steps_changes_nothing(DETECTOR, blocks)
    laws.a_step_writes_to_no_argument(DETECTOR, blocks)
    laws.state_survives_pickling(DETECTOR, blocks)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 799), max_size=6, unique=True))
def test_any_cut_finds_the_same_pulses(edges: list[int]) -> None:
    counts = np.concatenate(bank(), axis=-1)
    state, outs = laws.run(DETECTOR, laws.cut(counts, sorted(edges)))
    whole_state, whole = laws.run(DETECTOR, [counts])
    laws.same(state, whole_state)
    for row in range(len(counts)):
        for leaf in ("at", "amplitude"):
            parts = np.concatenate([kept(getattr(out, leaf)[row]) for out in outs])
            assert_array_equal(parts, kept(getattr(whole[0], leaf)[row]))


def test_it_finds_what_a_loop_over_the_samples_finds() -> None:
    counts = light(75.0, 3, 30.0, photons=1e5, perfusion=0.01).counts
    rules = PulseRules(DETECTOR._n_rise, 10.0, DETECTOR._keep, DETECTOR._noise_gain, DETECTOR.delay, RATE_HZ)
    out = found(counts)
    for row in range(3):
        expected = pulses(counts[row], DETECTOR.band.sos, rules)
        assert len(expected) > 20
        assert_allclose(kept(out.at[row]), [at for at, _ in expected], rtol=0.0, atol=1e-6)
        assert_allclose(kept(out.amplitude[row]), [height for _, height in expected], rtol=1e-6)


@pytest.mark.parametrize("bpm", [30.0, 45.0, 60.0, 75.0, 120.0, 180.0, 220.0])
def test_every_pulse_from_30_to_220_a_minute_is_found_once_and_in_time(bpm: float) -> None:
    truth = light(bpm)
    out = found(truth.counts)
    for row, expected in enumerate(truth.steepest_s):
        at = kept(out.at[row]) / RATE_HZ
        at, due = at[at > 5.0], expected[(expected > 5.2) & (expected < 59.0)]
        error = at[np.argmin(np.abs(at[None] - due[:, None]), axis=-1)] - due
        assert np.abs(error).max() < 0.06
        assert np.abs(error.mean()) < 0.015
        assert len(at[at < due[-1] + 0.1]) <= len(due) + 1
        assert np.median(out.quality[row][~np.isnan(out.at[row])]) > 0.9


def test_a_short_dark_green_channel_is_enough() -> None:
    counts = light(80.0, 1, 30.0, photons=1e6).counts[:, 2:]
    assert len(kept(found(counts).at[0])) >= 35


def test_the_amplitude_is_the_perfusion_and_dc_the_mean_count() -> None:
    out = found(light(70.0, 1, perfusion=0.02, photons=1e7).counts)
    assert np.median(kept(out.amplitude[0])) == pytest.approx(0.02, rel=0.25)
    assert_allclose(out.dc[0, -3:], 1e7 * COLOURS, rtol=0.05)


@pytest.mark.parametrize("photons", [0.3, 5.0, 100.0, 1e4, 1e7])
def test_pure_noise_shows_no_pulse_that_can_be_believed(photons: float) -> None:
    counts = np.random.default_rng(4).poisson(photons, (8, 3, 30_000)).astype(np.float64)
    out = found(counts, block=2500)
    assert np.count_nonzero(~np.isnan(out.at)) <= 4  # in 40 minutes
    assert out.quality.max() == 0.0


@pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
def test_flat_light_shows_no_pulse(value: float) -> None:
    assert np.isnan(found(np.full((2, 3, 2000), value)).at).all()


def test_noise_costs_quality_before_it_costs_pulses() -> None:
    medians = []
    for photons in (3e6, 1.5e5, 7e4):
        out = found(light(90.0, 4, photons=photons, perfusion=0.01).counts)
        medians.append(float(np.median(out.quality[~np.isnan(out.at)])))
    assert medians[0] > 0.95 > medians[1] > medians[2] > 0.0


def test_the_pulse_comes_back_within_seconds_of_a_violent_movement() -> None:
    counts = light(75.0, 1).counts
    counts[..., 2000:2300] *= 1.0 + 0.5 * np.sin(np.arange(300) / 15.0)
    at = kept(found(counts).at[0]) / RATE_HZ
    rate = np.diff(at[at > 30.0])
    assert np.median(60.0 / rate) == pytest.approx(75.0, abs=1.0)
    assert np.count_nonzero((at > 30.0) & (at < 50.0)) == pytest.approx(25, abs=1)


def test_when_the_pulse_stops_nothing_is_found_that_can_be_believed() -> None:
    for photons in (1e5, 1e6):
        counts = light(75.0, 8, photons=photons).counts
        counts[..., 3000:] = np.random.default_rng(1).poisson(
            counts[..., 3000:].mean(axis=-1, keepdims=True), (8, 3, 3000)
        )
        out = found(counts)
        late = np.nan_to_num(out.at) > 3080.0
        assert np.count_nonzero(late) <= 2
        assert np.all(out.quality[late] < 0.1)


def test_a_rate_without_room_for_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz >= 40"):
        PulseDetector(25.0)


@pytest.mark.recordings
def test_the_pulse_rate_agrees_with_the_ecg_on_recorded_signals(recordings: Path) -> None:
    rates = []
    for path in sorted((recordings / "bidmc").glob("bidmc_*_Signals.csv.gz")):
        pleth, ecg = recorded(path)
        detector = PulseDetector(125.0)
        out = found(np.rint(1e7 * np.exp(-0.02 * pleth))[None, None], detector, block=3000)
        beats = r_peaks(ecg) / 125.0
        at = (kept(out.at[0]) / 125.0).tolist()
        times = beats.tolist()
        rates += [(heart_rate(at, second), heart_rate(times, second - 0.5)) for second in range(15, 480, 5)]
    pulse, heart = np.array(rates).T
    close = np.abs(pulse - heart) <= 2.0
    # Pulse deficits and the R peaks of the reference are counted against us as well.
    assert np.mean(close) > 0.86
    assert np.nanmedian(np.abs(pulse - heart)) < 0.5


def recorded(path: Path) -> tuple[Array, Array]:
    """PLETH and lead II of a BIDMC recording."""
    with gzip.open(path, "rt") as file:
        rows = csv.reader(file)
        names = [name.strip() for name in next(rows)]
        columns = [names.index("PLETH"), names.index("II")]
        table = np.array([[float(row[c]) for c in columns] for row in rows])
    return table[:, 0], table[:, 1]


def r_peaks(ecg: Array) -> Array:
    """R peaks at 125 Hz, looked for in the whole signal at once."""
    band = signal.sosfiltfilt(signal.butter(2, (5.0, 20.0), "bandpass", fs=125.0, output="sos"), ecg)
    energy = np.convolve(np.diff(band, prepend=band[0]) ** 2, np.ones(12) / 12.0, "same")
    usual = np.median(energy[: len(energy) // 250 * 250].reshape(-1, 250).max(axis=-1))
    places: Array = signal.find_peaks(energy, height=0.25 * usual, distance=38)[0].astype(np.float64)
    return places


@pytest.mark.parametrize("bpm", [50.0, 75.0, 110.0])
def test_the_foot_is_where_the_tangent_to_the_upstroke_begins(bpm: float) -> None:
    signals = light(bpm)
    out = found(signals.counts)
    stretch = min(1.0, np.sqrt(60.0 / bpm))
    for row in range(len(signals.counts)):
        lead_s = kept(out.lead[row])[3:] / RATE_HZ
        # The tangent at one standard deviation before the top meets the level at two.
        assert abs(float(np.median(lead_s)) - 0.055 * stretch) < 0.008
        assert float(np.std(lead_s)) < 0.01
