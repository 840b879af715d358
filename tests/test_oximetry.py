"""Oxygen saturation: the ratio of a simulated heart's light, its uncertainty, and what is refused."""

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from anomaly.oximetry import Oximeter, OximeterOut, OximeterState

Array = NDArray[np.float64]
RATE_HZ = 100.0
KERNEL = Oximeter(RATE_HZ)


def light(
    spo2: Array, seconds: float, counts: float = 5e5, bpm: float = 72.0, seed: int = 0, size: float = 1.0
) -> Array:
    """Photon counts of patients with these saturations."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2.0 * np.pi * bpm / 60.0 * t
    wave = np.sin(phase) + 0.4 * np.sin(2.0 * phase + 0.7)
    ratio = (110.0 - spo2) / 25.0
    depth = size * np.stack([0.030 + 0.0 * ratio, 0.015 * ratio, 0.015 + 0.0 * ratio], axis=-1)
    breath = 0.002 * np.sin(2.0 * np.pi * 0.25 * t)
    return rng.poisson(counts * np.exp(-depth[..., None] * 0.5 * wave - breath)).astype(np.float64)


def run(blocks: list[Array]) -> tuple[OximeterState, OximeterOut]:
    state = KERNEL.init(blocks[0])
    for block in blocks:
        state, out = KERNEL.step(state, block)
    return state, out


def test_saturations_are_measured_within_their_uncertainty() -> None:
    spo2 = np.repeat(np.array([72.0, 85.0, 93.0, 97.0, 99.5]), 40)
    for counts in (5e5, 3e4):
        _, out = run([light(spo2, 40.0, counts, seed=3)])
        error = out.spo2 - spo2
        assert np.isfinite(error).all()
        assert abs(error.mean()) < 0.5
        assert (np.abs(error) < 2.0 * out.u).mean() > 0.93
        assert error.std() < 2.0


@pytest.mark.parametrize("bpm", [40.0, 72.0, 160.0])
def test_the_heart_rate_does_not_matter(bpm: float) -> None:
    _, out = run([light(np.array([90.0]), 40.0, bpm=bpm)])
    assert out.spo2[0] == pytest.approx(90.0, abs=1.0)


def test_movement_that_dims_all_wavelengths_alike_is_taken_out() -> None:
    spo2 = np.repeat(np.array([88.0, 97.0]), 20)
    still, later = light(spo2, 60.0, seed=5), light(spo2, 30.0, seed=6)
    rng = np.random.default_rng(7)
    sway = signal.sosfilt(signal.butter(2, [1.5, 2.5], "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal(3000))
    moved = later * np.exp(0.025 * sway)
    state, before = run([still])
    _, during = KERNEL.step(state, moved)
    seen = np.isfinite(during.spo2)
    assert seen.mean() > 0.8
    error = (during.spo2 - spo2)[seen]
    assert np.abs(error).max() < 6.0
    assert (np.abs(error) < 2.0 * during.u[seen]).mean() > 0.85
    assert during.u[seen].min() > before.u.max()
    assert during.quality.max() < before.quality.min()


def test_movement_and_noise_lower_the_quality_and_widen_the_uncertainty() -> None:
    still = light(np.array([97.0]), 40.0)
    rng = np.random.default_rng(4)
    shake = np.repeat(rng.standard_normal((1, 3, 400)), 10, axis=-1) * 0.02
    _, calm = run([still])
    _, moved = run([still * np.exp(shake)])
    _, weak = run([light(np.array([97.0]), 40.0, counts=3e3)])
    for worse in (moved, weak):
        assert worse.quality[0] < calm.quality[0] - 0.2
        assert np.isnan(worse.u[0]) or worse.u[0] > 1.5 * calm.u[0]
    assert calm.quality[0] > 0.95


def test_without_light_or_pulse_nothing_is_measured() -> None:
    dark, flat = np.zeros((1, 3, 3000)), np.full((1, 3, 3000), 5e5)
    for block in (dark, flat):
        _, out = run([block])
        assert np.isnan(out.spo2[0])
        assert out.quality[0] == 0.0
    blocks = np.split(light(np.array([97.0]), 30.0), 30, axis=-1)
    state, _ = run(blocks)
    state, out = KERNEL.step(state, dark[..., :100])
    assert np.isnan(out.spo2[0])
    _, out = KERNEL.step(state, light(np.array([97.0]), 30.0))
    assert out.spo2[0] == pytest.approx(97.0, abs=1.5)


def test_any_cut_gives_the_same_and_a_row_alone_is_as_in_the_bank() -> None:
    x = light(np.array([80.0, 90.0, 97.0]), 30.0)
    x[1, :, 700:720] = 0.0
    _, whole = run([x])
    for cut in (1, 7, 25, 333):
        pieces = [x[..., k : k + cut] for k in range(0, x.shape[-1], cut)]
        _, out = run(pieces)
        for one, other in zip(whole, out, strict=True):
            np.testing.assert_array_equal(one, other)
    for row in range(3):
        _, alone = run([x[row : row + 1]])
        assert [field[0] for field in alone] == [field[row] for field in whole]


def test_a_step_writes_to_no_argument_and_its_state_pickles() -> None:
    x = light(np.array([97.0, 91.0]), 2.0)
    state = KERNEL.init(x)
    before = pickle.dumps((state, x))
    new, _ = KERNEL.step(state, x)
    assert pickle.dumps((state, x)) == before
    assert pickle.dumps(pickle.loads(pickle.dumps(new))) == pickle.dumps(new)  # noqa: S301 - our own


def test_a_rate_at_which_no_pulse_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="need rate_hz >= 25"):
        Oximeter(10.0)
