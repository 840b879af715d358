"""QT of averaged beats: known waves of either polarity, noise, early beats, an uncertainty that holds, and the lead."""

import laws
import numpy as np
import pytest
from numpy.typing import NDArray

from anomaly.lead import SteepLead
from anomaly.qt import QtMeter
from anomaly.strip import StripRing

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
METER, RATE = QtMeter(high_hz=1e-9), 125.0
ONSET_S, T_TOP_S, T_WIDTH_S = -0.030 - 2.2 * 0.008, 0.285, 0.034


def wave(t: Array, rr_s: float = 1.0, t_size: float = 0.3) -> Array:
    """A P wave, a QRS and a T wave about an R peak at 0."""
    stretch = np.sqrt(rr_s)
    parts = ((-0.16 * stretch, 0.022, 0.1), (-0.03, 0.008, -0.12), (0.0, 0.0105, 1.0), (0.03, 0.009, -0.2))
    beat = sum(size * np.exp(-0.5 * ((t - at) / width) ** 2) for at, width, size in parts)
    whole: Array = beat + t_size * np.exp(-0.5 * ((t - T_TOP_S * stretch) / (T_WIDTH_S * stretch)) ** 2)
    return whole


def true_ms(rr_s: float = 1.0) -> float:
    """From the onset of Q to where the tangent to T meets the level: two standard deviations after its top."""
    return 1e3 * float((T_TOP_S + 2.0 * T_WIDTH_S) * np.sqrt(rr_s) - ONSET_S)


def looks(rr_s: float, noise: float, seed: int, n_looks: int = 6, t_size: float = 0.3) -> tuple[Array, Ints]:
    """Averages of some seconds of beats each, shape (1, n_looks, n_samples)."""
    rng = np.random.default_rng(seed)
    means, counts = [], []
    for _ in range(n_looks):
        at = np.arange(0.3, 6.3, rr_s) + rng.uniform(0.0, 0.008)
        t = np.arange(round(7.0 * RATE)) / RATE
        lead = sum(wave(t - one, rr_s, t_size) for one in at) + noise * rng.standard_normal(len(t))
        mean, n = METER.average(lead[None].astype(np.float32), at[None] * RATE)
        means.append(mean)
        counts.append(n)
    return np.stack(means, axis=1), np.stack(counts, axis=1)


@pytest.mark.parametrize("t_size", [0.3, -0.25, 0.12])
@pytest.mark.parametrize("rr_s", [1.15, 0.8, 0.55])
def test_known_waves_are_measured_at_every_rate(rr_s: float, t_size: float) -> None:
    means, n = looks(rr_s, 0.002, 1, t_size=t_size)
    out = METER.measure(means, n, np.array([rr_s]))
    assert out.ms[0] == pytest.approx(true_ms(rr_s), abs=9.0)
    assert out.u_ms[0] < 6.0


def test_what_it_says_of_itself_holds_in_noise_and_it_is_silent_in_more() -> None:
    clean = METER.measure(*looks(0.8, 1e-6, 1), np.array([0.8])).ms[0]
    parts = [looks(0.8, 0.02, seed) for seed in range(60)]
    means, n = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    out = METER.measure(means, n, np.full(60, 0.8))
    told = np.isfinite(out.ms)
    assert told.mean() > 0.8
    assert np.mean(np.abs(out.ms[told] - clean) <= 1.96 * out.u_ms[told]) > 0.85
    loud = METER.measure(*looks(0.8, 0.3, 1), np.array([0.8]))
    assert np.isnan(loud.ms[0])
    flat = METER.measure(*looks(0.8, 0.01, 1, t_size=0.0), np.array([0.8]))
    assert np.isnan(flat.ms[0])  # no T wave, no end of it


def test_a_beat_of_another_kind_is_left_out_and_rows_do_not_know_each_other() -> None:
    t, at = np.arange(875) / RATE, np.arange(0.3, 6.3, 0.8)
    lead = sum(wave(t - one, 0.8) for one in [*at, at[-1] + 0.8])
    lead = lead + 0.01 * np.random.default_rng(1).standard_normal(len(t))
    wild = lead - 2.0 * np.exp(-0.5 * ((t - at[3]) / 0.04) ** 2)
    both = np.stack([lead, wild]).astype(np.float32)
    mean, n = METER.average(both, np.stack([at, at]) * RATE)
    assert n.tolist() == [len(at), len(at) - 1]
    np.testing.assert_allclose(mean[1], mean[0], atol=0.02)
    alone, one = METER.average(both[1:], at[None] * RATE)
    np.testing.assert_array_equal(alone[0], mean[1])
    means, counts = np.repeat(mean[:, None], 6, axis=1), np.repeat(n[:, None], 6, axis=1)
    together = METER.measure(means, counts, np.array([0.8, 0.8]))
    apart = METER.measure(means[1:], counts[1:], np.array([0.8]))
    assert (together.ms[1], together.u_ms[1]) == (apart.ms[0], apart.u_ms[0])
    assert one[0] == n[1]
    nothing, none = METER.average(np.full((1, 875), np.nan, np.float32), at[None] * RATE)
    assert (none[0], np.abs(nothing).max()) == (0, 0.0)


def channels(n: int = 5, seconds: float = 4.0, rate_hz: float = 250.0) -> Array:
    t, rng = np.arange(round(seconds * rate_hz)) / rate_hz, np.random.default_rng(4)
    heart = sum(wave(t - one) for one in np.arange(0.5, seconds, 0.9))
    gains = rng.standard_normal((n, 6))
    x: Array = gains[..., None] * heart + 0.02 * rng.standard_normal((n, 6, len(t))) + np.sin(2.0 * t)
    return x


def test_the_lead_keeps_the_laws_and_adds_the_channels_up() -> None:
    x, kernel = channels(), SteepLead(250.0)
    blocks = laws.cut(x, range(50, x.shape[-1], 50))
    laws.a_row_alone_equals_the_row_in_a_bank(kernel, blocks, (2, 17, 64))
    laws.gathering_rows_between_steps_changes_nothing(kernel, blocks)
    laws.a_step_writes_to_no_argument(kernel, blocks)
    laws.state_survives_pickling(kernel, blocks)
    state, outs = laws.run(kernel, blocks)
    late = np.concatenate(outs[-5:], axis=-1)
    assert (np.ptp(late[:, 0], axis=-1) > np.ptp(x[..., -250:], axis=-1).max(axis=-1)).all()
    np.testing.assert_allclose((state.weight**2).sum(axis=-1), 1.0)
    silent, _ = laws.run(kernel, [np.zeros((1, 3, 50))] * 3)
    assert np.isfinite(silent.weight).all()


def test_half_of_the_room_keeps_eleven_bits() -> None:
    x = 300.0 * np.random.default_rng(5).standard_normal((2, 1, 1000))
    full, half = StripRing(250.0, seconds=3.0), StripRing(250.0, seconds=3.0, half=True)
    a, b = (laws.run(ring, laws.cut(x, range(50, 1000, 50)))[0] for ring in (full, half))
    end = np.array([1000.0, 1000.0])
    whole, rough = full.take_seconds(a, end, 2.0), half.take_seconds(b, end, 2.0)
    np.testing.assert_allclose(rough, whole, rtol=6e-4, atol=1e-3)
    assert rough.dtype == np.float32
    huge, _ = laws.run(half, [np.full((1, 1, 500), 1e9)])
    assert np.isfinite(half.take_seconds(huge, np.array([500.0]), 1.0)).all()
