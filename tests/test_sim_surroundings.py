"""The field of a room: mains and lifts that are functions of time, and a continuum that no cut of time changes."""

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from device_sim.background import (
    DRIFT_CORNER_HZ,
    FLOOR_KNEE_HZ,
    KNOTS_HZ,
    N_FAST,
    N_SLOW,
    VIBRATION_BAND_HZ,
    Background,
    BackgroundState,
)
from device_sim.bodies import stacked
from device_sim.environment import ROOMS, Room, interference, random_grid, random_surroundings

Array = NDArray[np.float64]
RATE_HZ = 500


def rngs(n: int, seed: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, row)) for row in range(n)]


def whites(n: int, seconds: int, rate_hz: int = RATE_HZ) -> tuple[Array, Array]:
    rng = np.random.default_rng(2)
    slow = rng.standard_normal((n, N_SLOW, KNOTS_HZ * seconds))
    return slow, rng.standard_normal((n, N_FAST, rate_hz * seconds))


def field_of(room: Room, n: int, seconds: int, shaken: float = 0.0, rate_hz: int = RATE_HZ) -> Array:
    background = Background(room, rate_hz)
    slow, fast = whites(n, seconds, rate_hz)
    return background.step(background.init(rngs(n)), slow, fast, np.full((n, 3), shaken))[1]


def quiet(**parts: float) -> Room:
    """A room in which nothing is but the parts that are named."""
    still = ROOMS["light-shield"]._replace(
        drift_pt=0.0, mains_pt=0.0, lift_pt=0.0, tram_pt=0.0, floor_pt=0.0, vibration_m=0.0
    )
    return still._replace(**parts)  # type: ignore[arg-type]  # floats all


def test_any_cut_of_time_gives_the_same_field_and_a_row_alone_the_row_in_a_bank() -> None:
    background = Background(ROOMS["open-ward"], RATE_HZ)
    slow, fast = whites(3, 2)
    kept = slow.copy(), fast.copy()
    shaken = np.random.default_rng(3).standard_normal((3, 3))
    whole = background.step(background.init(rngs(3)), slow, fast, shaken)[1]
    state, parts = background.init(rngs(3)), []
    for first, after in ((0, 3), (3, 13), (13, 20)):
        here = slice(first * RATE_HZ // KNOTS_HZ, after * RATE_HZ // KNOTS_HZ)
        state = pickle.loads(pickle.dumps(state))  # noqa: S301 - our own bytes
        assert isinstance(state, BackgroundState)
        state, part = background.step(state, slow[..., first:after], fast[..., here], shaken)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)
    alone = background.step(background.init(rngs(3)[1:2]), slow[1:2], fast[1:2], shaken[1:2])[1]
    np.testing.assert_array_equal(alone[0], whole[1])
    np.testing.assert_array_equal(slow, kept[0])
    np.testing.assert_array_equal(fast, kept[1])


def test_drift_is_a_continuum_that_falls_as_one_over_f_and_is_flat_below_its_corner() -> None:
    field = field_of(quiet(drift_pt=60.0), 8, 1600, rate_hz=100).reshape(24, -1)[:, :: 100 // KNOTS_HZ]
    assert np.mean(field.std(axis=-1)) == pytest.approx(60.0, rel=0.15)
    f, power = signal.welch(field, fs=KNOTS_HZ, nperseg=2000)
    density = np.sqrt(power.mean(axis=0))
    expected = 60.0 * np.sqrt(2.0 / (np.pi * DRIFT_CORNER_HZ)) / np.sqrt(1.0 + (f / DRIFT_CORNER_HZ) ** 2)
    for low in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        band = (f >= low) & (f < 1.5 * low)
        assert np.mean(density[band] / expected[band]) == pytest.approx(1.0, abs=0.12), low
        # A few tones would leave holes between them.
        assert density[band].min() > 0.5 * expected[band].min()


def test_the_floor_is_broadband_with_a_knee_and_trams_are_slow() -> None:
    field = field_of(quiet(floor_pt=0.02), 4, 200).reshape(12, -1)
    f, power = signal.welch(field, fs=RATE_HZ, nperseg=5000)
    density = np.sqrt(power.mean(axis=0))
    for low in (1.0, 3.0, 10.0, 30.0, 100.0):
        band = (f >= low) & (f < 1.5 * low)
        expected = 0.02 * np.sqrt(1.0 + FLOOR_KNEE_HZ / f[band])
        assert np.mean(density[band] / expected) == pytest.approx(1.0, abs=0.06), low
    trams = field_of(quiet(tram_pt=20.0), 4, 800, rate_hz=100).reshape(12, -1)[:, :: 100 // KNOTS_HZ]
    assert np.mean(trams.std(axis=-1)) == pytest.approx(20.0, rel=0.1)
    f, power = signal.welch(trams, fs=KNOTS_HZ, nperseg=1000)
    total = power.mean(axis=0)
    assert total[(f >= 0.01) & (f <= 0.5)].sum() > 0.75 * total.sum()


def test_vibration_is_a_band_that_is_seen_through_the_gradient_only() -> None:
    room = quiet(vibration_m=1e-3)
    assert np.abs(field_of(room, 1, 10, shaken=0.0)).max() == 0.0
    seen = field_of(room, 1, 100, shaken=1000.0)[0]
    assert seen.std() == pytest.approx(1.0, rel=0.1)
    f, power = signal.welch(seen, fs=RATE_HZ, nperseg=2500)
    total = power.sum(axis=0)
    low, high = VIBRATION_BAND_HZ
    assert total[(f >= 0.6 * low) & (f <= 1.5 * high)].sum() > 0.95 * total.sum()
    inside = total[(f >= low) & (f <= high)]
    assert inside.min() > 0.2 * inside.max(), "no line, and no hole"


def test_rooms_are_as_noisy_as_they_say() -> None:
    rng = np.random.default_rng(11)
    sizes = {}
    for name, room in ROOMS.items():
        grid, around = random_grid(rng), stacked([random_surroundings(rng, room) for _ in range(8)])
        seconds = [interference(around, grid, np.full(8, float(k)), RATE_HZ, RATE_HZ) for k in range(100)]
        field = np.concatenate(seconds, axis=-1) + field_of(room, 8, 100)
        sizes[name] = field.std(axis=-1).mean()
        assert np.sqrt(np.sum(field.mean(axis=-1) ** 2, axis=-1)).max() <= 1.2 * room.remnant_pt
    assert sizes["shielded-room"] < 0.3 * sizes["light-shield"] < 0.01 * sizes["open-ward"]


def test_interference_is_mains_with_harmonics_and_lifts_and_seamless() -> None:
    rng = np.random.default_rng(7)
    grid, around = random_grid(rng), stacked([random_surroundings(rng, ROOMS["light-shield"])])
    seconds = [interference(around, grid, np.array([float(k)]), RATE_HZ, RATE_HZ)[0] for k in range(40)]
    field = np.concatenate(seconds, axis=-1)
    f, power = signal.welch(signal.detrend(field), fs=RATE_HZ, nperseg=5000)
    total = power.sum(axis=0)
    lines = [total[(f > centre - 1) & (f < centre + 1)].sum() for centre in (50.0, 100.0, 150.0)]
    assert lines[0] > lines[2] > lines[1] > 1e4 * total[(f > 60) & (f < 90)].sum()
    jumps = np.abs(np.diff(field, axis=-1)).max(axis=0)
    assert jumps[RATE_HZ - 1 :: RATE_HZ].max() <= 1.05 * jumps.max()


def test_no_two_lifts_are_alike_and_none_jumps_in() -> None:
    rng = np.random.default_rng(8)
    room = quiet(lift_pt=80.0)
    grid, around = random_grid(rng), stacked([random_surroundings(rng, room._replace(remnant_pt=0.0))])
    seconds = [interference(around, grid, np.array([float(k)]), 10, 10.0)[0] for k in range(1000)]
    field = np.sqrt(np.sum(np.concatenate(seconds, axis=-1) ** 2, axis=0))
    peaks, _ = signal.find_peaks(field, height=10.0)
    assert 8 <= len(peaks) <= 12
    assert np.ptp(field[peaks]) > 10.0
    assert field.max() <= 80.0
    assert np.abs(np.diff(field)).max() < 5.0
