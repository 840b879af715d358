"""The magnetic surroundings of a patient: remnant field and gradient, mains and lifts; `background` has the rest."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.tones import Tones, evaluate, random_tones, upsample

Array = NDArray[np.float64]
RoomName = Literal["shielded-room", "light-shield", "open-ward"]

MAINS_HZ = 50.0
HARMONICS = (1.0, 0.20, 0.33)  # 50, 100 and 150 Hz
# The grid's frequency wanders by some 20 mHz over minutes; phase in turns.
GRID_WANDER_HZ, GRID_BAND_HZ = 0.02, (0.003, 0.02)
# A cabin and its counterweight go by: some 5 m away at 1.3 m/s the field of a dipole is 4 s wide. The next is slower or
# faster, and another shaft is nearer or further; from memory.
LIFT_EVERY_S, LIFT_WIDTH_S, LIFT_SPREAD = 97.0, 4.0, 0.4
N_TONES = 4

_DRIFT_KNOTS = 10  # knots per second; the drift is straight between them


class Room(NamedTuple):
    """How strong what is in a room; sizes along one axis, in pT unless said."""

    remnant_pt: float  # at most
    earth: bool  # the remnant is the earth's field and points much the same way everywhere
    gradient_pt_m: float  # rms of an element of the gradient
    drift_pt: float  # rms
    mains_pt: float  # amplitude of the fundamental
    lift_pt: float  # at its peak
    tram_pt: float  # rms
    floor_pt: float  # density of the broadband noise, pT / sqrt(Hz)
    vibration_m: float  # rms of the movement at 10-30 Hz


# Remnant fields: DOMAIN 1.2 (at most 2 nT behind a light shield, 1 nT/m); interference of a city hospital is 20 to 30
# times that of a green field (DOMAIN 1.2, Hill 2022). Drift falls as 1 / f: at 1 Hz there are 0.6 pT/rtHz of it in a
# room, 3 behind a light shield and 280 in the open. The walls of a room add 0.5 fT/rtHz (Khan and Cohen 2013, Rev. Sci.
# Instrum. 84:056101), those of a light shield, which are near, about as much as a sensor has. A patient's floor moves
# with 0.1 mm/s at most (ISO 10137, 8-80 Hz), 1 um at 16 Hz; what stands on it, and an arm still more, rings. Sizes
# without a source are from memory.
ROOMS: dict[RoomName, Room] = {
    "shielded-room": Room(1000.0, False, 500.0, 10.0, 1.0, 5.0, 3.0, 0.002, 5e-6),
    "light-shield": Room(2000.0, False, 1000.0, 60.0, 30.0, 80.0, 20.0, 0.02, 2e-5),
    "open-ward": Room(48e6, True, 200e3, 5000.0, 20e3, 20e3, 5000.0, 5.0, 2e-5),
}


class Surroundings(NamedTuple):
    """Interference around each patient; axis 0 is the patient."""

    remnant_pt: Array  # (n, 3)
    gradient_pt_m: Array  # (n, 3, 3), symmetric and without a trace, as a field without currents has it
    mains_pt: Array  # (n, 3): size and direction of the fundamental
    start: Array  # (n,), turns
    lift_pt: Array  # (n, 3): size and direction at its peak
    lift_start: Array  # (n,), s
    shaken: Array  # (n, 3), pT per m: direction of the vibration through the gradient


class Grid(NamedTuple):
    """The mains, one for all patients."""

    wander: Tones  # (n_tones,), turns


def random_grid(rng: Generator) -> Grid:
    """A grid whose frequency wanders."""
    wander = random_tones(rng, N_TONES, GRID_BAND_HZ, 1.0)
    return Grid(wander._replace(amplitude=wander.amplitude * GRID_WANDER_HZ / (2 * np.pi * wander.frequency_hz)))


def random_surroundings(rng: Generator, room: Room) -> Surroundings:
    """Surroundings of one patient, without the leading axis."""
    if room.earth:
        # Dip of 65 degrees into the ground (central Europe, from memory), the patient on the back: z points up.
        turn, dip = rng.uniform(0.0, 2.0 * np.pi), np.radians(rng.normal(65.0, 3.0))
        towards = np.array([np.cos(dip) * np.cos(turn), np.cos(dip) * np.sin(turn), -np.sin(dip)])
        remnant = room.remnant_pt * towards
    else:
        remnant = room.remnant_pt / np.sqrt(3.0) * rng.uniform(-1.0, 1.0, 3)
    raw = rng.normal(0.0, room.gradient_pt_m, (3, 3))
    gradient = (raw + raw.T) / 2.0
    gradient -= np.eye(3) * np.trace(gradient) / 3.0
    return Surroundings(
        remnant_pt=remnant,
        gradient_pt_m=gradient,
        mains_pt=room.mains_pt * rng.uniform(0.5, 1.5) * _direction(rng),
        start=np.array(rng.uniform()),
        lift_pt=room.lift_pt * _direction(rng),
        lift_start=np.array(rng.uniform(0.0, LIFT_EVERY_S)),
        shaken=gradient @ _direction(rng),
    )


def interference(around: Surroundings, grid: Grid, starts_s: Array, n_samples: int, rate_hz: float) -> Array:
    """Homogeneous field around each patient over a chunk of whole tenths of a second, as far as it is no noise.

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
    slow_pt = around.remnant_pt[..., None] + around.lift_pt[..., None] * _lift(knots, around.lift_start)[:, None]
    t = starts_s[:, None] + np.arange(n_samples) / rate_hz
    slow = upsample(evaluate(grid.wander, knots), n_samples // n_knots)
    turns = 2.0 * np.pi * (MAINS_HZ * t + slow + around.start[:, None])
    sine, cosine = np.sin(turns), np.cos(turns)
    # sin 2x and sin 3x by their identities: a sine costs more than the rest of this function.
    mains = sine * (HARMONICS[0] + HARMONICS[1] * 2.0 * cosine + HARMONICS[2] * (3.0 - 4.0 * sine**2))
    field = upsample(slow_pt, n_samples // n_knots)
    field += around.mains_pt[..., None] * mains[:, None]
    return field


def _lift(t_s: Array, start_s: Array) -> Array:
    """Passing of lifts, 1 at the nearest: the field of a dipole that goes by, at times of shape (n, n_times)."""
    passing = (t_s - start_s[:, None]) / LIFT_EVERY_S
    # No two waits are the same: each passing is up to a fifth of the time early or late.
    number = np.rint(passing)
    since_s = (passing - number - 0.2 * np.sin(2.7 * number)) * LIFT_EVERY_S
    width_s = LIFT_WIDTH_S * (1.0 + LIFT_SPREAD * np.sin(5.3 * number + start_s[:, None]))
    size = 1.0 - LIFT_SPREAD * (1.0 + np.sin(3.9 * number + start_s[:, None]))
    near: Array = size * (1.0 + (since_s / width_s) ** 2) ** -1.5
    return near


def _direction(rng: Generator) -> Array:
    drawn = rng.standard_normal(3)
    direction: Array = drawn / np.sqrt(np.sum(drawn**2))
    return direction
