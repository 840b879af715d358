"""Acceleration at the chest: gravity, breathing, small movements, the sensor's noise."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.wearable import ACCELERATION_NOISE, ACCELERATION_RATE_HZ, GRAVITY

Array = NDArray[np.float64]

BREATH_MS2 = 0.08  # tilt of the chest with the breath, about half a degree; from memory
FIDGET_MS2 = 0.12  # size of a small movement; from memory
FIDGET_EVERY_S = 47.0
FIDGET_WIDTH_S = 0.5


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


def accelerations(posture: Posture, breath: Array, t_s: Array, white: Array) -> Array:
    """Acceleration along the device's axes.

    Parameters
    ----------
    posture
        How the patients lie.
    breath, t_s : ndarray, shape (n, n_samples)
        Filling of the lungs from -1 to 1, and the time.
    white : ndarray, shape (n, 3, n_samples)
        Standard normal numbers.

    Returns
    -------
    ndarray, shape (n, 3, n_samples)
        m/s2.
    """
    since_s = (t_s - posture.start_s[:, None] + FIDGET_EVERY_S / 2) % FIDGET_EVERY_S - FIDGET_EVERY_S / 2
    fidget = FIDGET_MS2 * np.exp(-0.5 * (since_s / FIDGET_WIDTH_S) ** 2) * np.sin(2.0 * np.pi * 1.7 * since_s)
    noise = ACCELERATION_NOISE * np.sqrt(ACCELERATION_RATE_HZ / 2)
    total: Array = (
        posture.gravity_ms2[..., None]
        + BREATH_MS2 * posture.tilt[..., None] * breath[:, None]
        + posture.fidget[..., None] * fidget[:, None]
        + noise * white
    )
    return total
