"""A brain's rhythms and sharp transients: known spectra, artefacts, laws, and a simulated cap against its script."""

from pathlib import Path

import laws
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal
from sim_flow import flowed

from anomaly.bands import BandReason, BandShares
from anomaly.spikes import LEARN_S, SpikeWatch
from dataflows.estimates import BRAIN_REASONS
from dataflows.lane import Part
from dataflows.neural import Neural
from ingest.packet import StateFlag

Array = NDArray[np.float64]
RATE = 100.0
KERNEL = BandShares(RATE)


def rhythm(n: int, low_hz: float, high_hz: float, size: float, seconds: float = 4.0, seed: int = 1) -> Array:
    """Noise in a band, of so large an rms, shape (n, 4, n_samples): one source that all channels see."""
    rng = np.random.default_rng(seed)
    sos = signal.butter(4, (low_hz, high_hz), "bandpass", fs=RATE, output="sos")
    x = signal.sosfilt(sos, rng.standard_normal((n, round((seconds + 4.0) * RATE))))[:, -round(seconds * RATE) :]
    wave: Array = size * x / x.std(axis=-1, keepdims=True)
    seen: Array = wave[:, None] * np.array([1.0, -0.7, 0.4, 0.9])[:, None]
    return seen


def noise(n: int, size: float, seconds: float = 4.0, seed: int = 2) -> Array:
    return size * np.random.default_rng(seed).standard_normal((n, 4, round(seconds * RATE)))


def test_shares_are_those_of_the_periodogram_of_a_library_and_hold_what_they_say() -> None:
    x = rhythm(300, 8.0, 13.0, 1.0) + rhythm(300, 14.0, 29.0, 0.8, seed=3) + noise(300, 0.2)
    out = KERNEL.measure(x)
    hz, power = signal.welch(x[0], RATE, "hann", 200, 100, detrend="constant")
    pooled = power.sum(axis=0)
    whole = pooled[(hz >= 4.0) & (hz < 40.0)].sum()
    assert out.alpha[0] == pytest.approx(pooled[(hz >= 8.0) & (hz < 13.0)].sum() / whole, rel=0.03)
    assert out.beta[0] == pytest.approx(pooled[(hz >= 13.0) & (hz < 30.0)].sum() / whole, rel=0.03)
    assert np.mean(np.abs(out.alpha - np.median(out.alpha)) <= 1.96 * out.alpha_u) > 0.85


def test_muscle_and_blinks_are_left_out_and_a_wild_channel_has_no_say() -> None:
    calm = rhythm(1, 8.0, 13.0, 1.0) + noise(1, 0.2)
    usual = KERNEL.measure(calm).alpha[0]
    wild = calm.copy()
    wild[0, 2] += 80.0 * np.sin(2.0 * np.pi * 20.0 * np.arange(400) / RATE)
    assert KERNEL.measure(wild).alpha[0] == pytest.approx(usual, abs=0.05)
    tense = calm + 4.0 * rhythm(1, 30.0, 46.0, 1.0, seed=5)
    t = np.arange(400) / RATE
    blink = calm + 60.0 * sum(np.exp(-0.5 * ((t - at) / 0.09) ** 2) for at in (0.5, 1.7, 2.9, 3.5))
    for window, reason in ((tense, BandReason.MUSCLE), (blink, BandReason.BLINK)):
        out = KERNEL.measure(window)
        assert np.isnan(out.alpha[0])
        assert out.why[0] == reason
    once = calm + 60.0 * np.exp(-0.5 * ((t - 0.4) / 0.09) ** 2)  # in one segment of three
    assert KERNEL.measure(once).alpha[0] == pytest.approx(usual, abs=0.1)
    assert KERNEL.measure(np.full((1, 4, 400), np.nan)).why[0] == BandReason.SETTLING
    with pytest.raises(ValueError, match=r"need rate_hz >= 90"):
        BandShares(60.0)


def test_a_window_alone_is_as_in_a_bank() -> None:
    x = rhythm(17, 8.0, 13.0, 1.0) + noise(17, 0.5)
    together = KERNEL.measure(x)
    for row in (0, 8, 16):
        laws.same(KERNEL.measure(x[row : row + 1]), laws.rows(together, slice(row, row + 1)))


def spiky(n: int, seconds: float, seed: int = 1) -> tuple[Array, Array]:
    """A rhythm in which there are spikes after 15 s, and their times."""
    x = rhythm(n, 8.0, 13.0, 1.0, seconds, seed) + noise(n, 0.1, seconds, seed + 1)
    at = np.arange(15.0, seconds - 1.0, 3.7)
    t = np.arange(x.shape[-1]) / RATE
    wave = sum(np.exp(-0.5 * ((t - one) / 0.018) ** 2) for one in at)
    return x + 2.0 * wave * np.array([0.2, 1.0, 0.8, -0.3])[:, None], at


def test_spikes_are_found_in_a_rhythm_and_nothing_else_is() -> None:
    x, at = spiky(3, 45.0)
    kernel = SpikeWatch(RATE)
    _, outs = laws.run(kernel, laws.cut(x, range(25, x.shape[-1], 25)))
    begins = np.concatenate([out.begins for out in outs], axis=-1)
    for row in begins:
        found = (np.flatnonzero(row) - kernel.delay) / RATE
        assert len(found) == len(at)
        assert np.abs(found - at).max() < 0.08
    calm = rhythm(3, 8.0, 13.0, 1.0, 60.0, 7) + noise(3, 0.1, 60.0, 8)
    _, outs = laws.run(kernel, laws.cut(calm, range(25, calm.shape[-1], 25)))
    assert sum(int(out.begins.sum()) for out in outs) <= 1
    assert not outs[int(LEARN_S * 4) - 1].known.any()
    dead, outs = laws.run(kernel, [np.zeros((1, 4, 25))] * 60)
    assert not any(out.begins.any() for out in outs)
    assert np.isfinite(dead.products).all()


def test_the_watch_keeps_the_laws() -> None:
    x, _ = spiky(5, 20.0)
    blocks = laws.cut(x[..., :600], range(25, 600, 25))
    kernel = SpikeWatch(RATE)
    laws.a_row_alone_equals_the_row_in_a_bank(kernel, blocks, (2, 17))
    laws.gathering_rows_between_steps_changes_nothing(kernel, blocks)
    laws.a_step_writes_to_no_argument(kernel, blocks)
    laws.state_survives_pickling(kernel, blocks)


def test_a_lane_thins_to_whole_blocks_and_a_fault_is_said() -> None:
    shapes = ((1000.0, 250), (1200.0, 300))
    assert [Neural(rate, n, Part("i3", 4), Part("i3", 0)).factor for rate, n in shapes] == [10, 12]
    lane, rng = Neural(200.0, 50, Part("i3", 40), Part("i3", 2)), np.random.default_rng(1)
    t0_ns = np.full(1, 1_700_000_000 * 10**9)
    state = lane.init(np.zeros((1, 42, 50)), t0_ns)
    for k in range(60):
        locked = int(StateFlag.LOCKED) if k < 50 else 0
        state = lane.step(state, rng.standard_normal((1, 42, 50)), t0_ns, np.array([locked]))
        t0_ns = t0_ns + 250_000_000
        if k in (8, 48, 59):
            said = lane.estimate(state, t0_ns)
            assert BRAIN_REASONS[said.why[0]] == {8: "settling", 48: "", 59: "fault"}[k]
            assert np.isfinite(said.alpha[0]) == (k == 48)
    assert state.ring.shape == (1, 32, 400)


SCRIPT = """about = "a head"
[[patients]]
device = "meg-cap"
brain = [{ brain = "alpha", from_s = 0.0, for_s = 20.0 }, { brain = "spikes", from_s = 21.0, per_min = 30.0 }]
"""


def test_a_simulated_cap_tells_what_its_script_says(tmp_path: Path) -> None:
    scenario = tmp_path / "head.toml"
    scenario.write_text(SCRIPT, encoding="utf-8")
    found = flowed(str(scenario), 1, 42.0)
    first = found.vitals[0].second
    closed = [row for row in found.vitals if 8 <= row.second - first < 19]
    opened = [row for row in found.vitals if row.second - first >= 28]
    assert {row.brain_reason for row in (*closed, *opened)} == {""}
    assert np.median([row.alpha.value for row in closed]) > 0.45
    assert np.median([row.alpha.value for row in opened]) < 0.35
    assert min(row.beta.value for row in opened) > max(0.0, np.median([row.beta.value for row in closed]) - 0.1)
    last = found.vitals[-1]
    assert last.seizure.value > 5.0
    assert found.vitals[0].brain_reason == "settling"
