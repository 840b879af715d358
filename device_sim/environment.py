"""The magnetic surroundings of a patient in a light shield: mains and harmonics, drift, remnant field."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.tones import Tones, evaluate, random_tones, upsample

Array = NDArray[np.float64]

# Inside a light shield with remnant <= 2 nT (DOMAIN 1.2), nulled by the sensor's coils to a few hundred pT. The sizes
# of what is left of mains and drift are from memory.
REMNANT_PT = 300.0
DRIFT_PT = 60.0
DRIFT_BAND_HZ = (0.003, 0.05)
MAINS_HZ = 50.0
MAINS_PT = 30.0
HARMONICS = (1.0, 0.20, 0.33)  # 50, 100 and 150 Hz
# The grid's frequency wanders by some 20 mHz over minutes; phase in turns.
GRID_WANDER_HZ, GRID_BAND_HZ = 0.02, (0.003, 0.02)
N_TONES = 4

_DRIFT_KNOTS = 10  # knots per second; the drift is straight between them


class Surroundings(NamedTuple):
    """Interference around each patient; axis 0 is the patient."""

    remnant_pt: Array  # (n, 3)
    drift: Tones  # (n, 3, n_tones)
    mains_pt: Array  # (n, 3): size and direction of the fundamental
    start: Array  # (n,), turns


class Grid(NamedTuple):
    """The mains, one for all patients."""

    wander: Tones  # (n_tones,), turns


def random_grid(rng: Generator) -> Grid:
    """A grid whose frequency wanders."""
    wander = random_tones(rng, N_TONES, GRID_BAND_HZ, 1.0)
    return Grid(wander._replace(amplitude=wander.amplitude * GRID_WANDER_HZ / (2 * np.pi * wander.frequency_hz)))


def random_surroundings(rng: Generator) -> Surroundings:
    """Surroundings of one patient, without the leading axis."""
    axes = [random_tones(rng, N_TONES, DRIFT_BAND_HZ, DRIFT_PT) for _ in range(3)]
    direction = rng.standard_normal(3)
    return Surroundings(
        REMNANT_PT * rng.uniform(-1.0, 1.0, 3),
        Tones(*(np.stack(leaves) for leaves in zip(*axes, strict=True))),
        MAINS_PT * rng.uniform(0.5, 1.5) * direction / np.sqrt(np.sum(direction**2)),
        np.array(rng.uniform()),
    )


def interference(around: Surroundings, grid: Grid, starts_s: Array, n_samples: int, rate_hz: float) -> Array:
    """Homogeneous field around each patient over a chunk of whole tenths of a second.

    Parameters
    ----------
    around, grid
        The surroundings.
    starts_s : ndarray, shape (n,)
        Time of each row's first sample.
    n_samples, rate_hz
        Length and rate of the rows.

    Returns
    -------
    ndarray, shape (n, 3, n_samples)
        pT along x, y and z.
    """
    seconds = n_samples / rate_hz
    n_knots = round(seconds * _DRIFT_KNOTS)
    knots = starts_s[:, None] + np.arange(n_knots + 1) / _DRIFT_KNOTS
    drift = around.remnant_pt[..., None] + evaluate(around.drift, np.repeat(knots[:, None], 3, axis=1))
    t = starts_s[:, None] + np.arange(n_samples) / rate_hz
    slow = upsample(evaluate(grid.wander, knots), n_samples // n_knots)
    turns = 2.0 * np.pi * (MAINS_HZ * t + slow + around.start[:, None])
    sine, cosine = np.sin(turns), np.cos(turns)
    # sin 2x and sin 3x by their identities: a sine costs more than the rest of this function.
    mains = sine * (HARMONICS[0] + HARMONICS[1] * 2.0 * cosine + HARMONICS[2] * (3.0 - 4.0 * sine**2))
    return upsample(drift, n_samples // n_knots) + around.mains_pt[..., None] * mains[:, None]
