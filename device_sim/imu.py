"""Acceleration at the chest, by gravity, breathing and small movements, and the accelerometer that measures it."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.electronics import PathState, SignalPath
from device_sim.noise import noise_init, noise_step
from device_sim.wearable import ACCELERATION_NOISE, ACCELERATION_RATE_HZ, GRAVITY

Array = NDArray[np.float64]

BREATH_MS2 = 0.08  # tilt of the chest with the breath, about half a degree; from memory
FIDGET_MS2 = 0.12  # size of a small movement; from memory
FIDGET_EVERY_S = 47.0
FIDGET_WIDTH_S = 0.5
# Of the accelerometer: sensitivity and misalignment within 1 %, zero level within 40 mg (LSM6DSx, from memory).
GAIN_ERROR = 0.005
OFFSET_MS2 = 0.015 * GRAVITY


class Posture(NamedTuple):
    """How a patient lies; axis 0 is the patient."""

    gravity_ms2: Array  # (n, 3)
    tilt: Array  # (n, 3), unit vector of the breath's tilt
    fidget: Array  # (n, 3), unit vector of small movements
    start_s: Array  # (n,)


def random_posture(rng: Generator) -> Posture:
    """On the back, up to some 25 degrees off; without the leading axis."""
    lean = rng.normal(0.0, 0.2, 3) + np.array([0.0, 0.0, 1.0])
    directions = [vector / np.sqrt(np.sum(vector**2)) for vector in (lean, *rng.standard_normal((2, 3)))]
    return Posture(GRAVITY * directions[0], directions[1], directions[2], np.array(rng.uniform(0.0, FIDGET_EVERY_S)))


def accelerations(posture: Posture, breath: Array, t_s: Array) -> Array:
    """Acceleration along the device's axes.

    Parameters
    ----------
    posture
        How the patients lie.
    breath, t_s : ndarray, shape (n, n_samples)
        Filling of the lungs from -1 to 1, and the time.

    Returns
    -------
    ndarray, shape (n, 3, n_samples)
        m/s2.
    """
    since_s = (t_s - posture.start_s[:, None] + FIDGET_EVERY_S / 2) % FIDGET_EVERY_S - FIDGET_EVERY_S / 2
    fidget = FIDGET_MS2 * np.exp(-0.5 * (since_s / FIDGET_WIDTH_S) ** 2) * np.sin(2.0 * np.pi * 1.7 * since_s)
    total: Array = (
        posture.gravity_ms2[..., None]
        + BREATH_MS2 * posture.tilt[..., None] * breath[:, None]
        + posture.fidget[..., None] * fidget[:, None]
    )
    return total


class ImuUnit(NamedTuple):
    """What differs from one accelerometer to the next; axis 0 is the device, after stacking."""

    matrix: Array  # (n, 3, 3): gains on the diagonal, misalignment beside it
    offset_ms2: Array  # (n, 3)


def random_imu(rng: Generator) -> ImuUnit:
    """One accelerometer, without the leading axis."""
    matrix = np.eye(3) + rng.normal(0.0, GAIN_ERROR, (3, 3))
    return ImuUnit(matrix, rng.normal(0.0, OFFSET_MS2, 3))


class ImuState(NamedTuple):
    """What the accelerometers carry from chunk to chunk."""

    path: PathState
    pink: Array  # (n_sections, n, 3, 2)


@dataclass(frozen=True)
class Imu:
    """Accelerometer: ``misalignment, gains, offset -> low pass, delay -> + noise -> range``; figures of the LSM6DSx.

    Parameters
    ----------
    rate_hz
        Output data rate.
    noise_ms2
        White noise density, m/s2 / sqrt(Hz).
    knee_hz
        Of the 1/f noise; from memory.
    bandwidth_hz
        Second order; a quarter of the rate, one of those that can be chosen; from memory.
    delay_s
        Of its digital filter; from memory.
    range_ms2
        2 g.
    """

    rate_hz: float = ACCELERATION_RATE_HZ
    noise_ms2: float = ACCELERATION_NOISE
    knee_hz: float = 0.1
    bandwidth_hz: float = ACCELERATION_RATE_HZ / 4
    delay_s: float = 1.0 / ACCELERATION_RATE_HZ
    range_ms2: float = 2.0 * GRAVITY

    def __post_init__(self) -> None:
        """Refuse an accelerometer that cannot be."""
        _ = self.path
        if not (self.noise_ms2 >= 0.0 and self.range_ms2 > 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(f"{self}: need noise_ms2 >= 0, range_ms2 > 0 and a knee in the band")

    @cached_property
    def path(self) -> SignalPath:
        """Low pass and delay."""
        return SignalPath(self.rate_hz, self.bandwidth_hz, self.delay_s, order=2)

    def init(self, first_ms2: Array, unit: ImuUnit) -> ImuState:
        """Steady state for accelerations of shape ``(n, 3)``."""
        seen = np.matmul(unit.matrix, first_ms2[..., None])[..., 0] + unit.offset_ms2
        return ImuState(self.path.init(seen), noise_init(first_ms2.shape, self.knee_hz, self.rate_hz))

    def step(self, state: ImuState, true_ms2: Array, white: Array, unit: ImuUnit) -> tuple[ImuState, Array]:
        """Read accelerations of shape ``(n, 3, n_samples)`` with as many standard normal numbers."""
        path, seen = self.path.step(state.path, np.matmul(unit.matrix, true_ms2) + unit.offset_ms2[..., None])
        pink, noise = noise_step(state.pink, white, self.knee_hz, self.rate_hz)
        seen += self.noise_ms2 * noise
        return ImuState(path, pink), np.clip(seen, -self.range_ms2, self.range_ms2)
