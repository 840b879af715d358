"""Who lies in the ward: the constants of every patient, drawn from the patient's own random numbers."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from device_sim.breath import Breath, random_breath
from device_sim.environment import Surroundings, random_surroundings
from device_sim.field import half_space_lead
from device_sim.heartvector import BREATH_SWAY_RAD, R_DIRECTION
from device_sim.imu import Posture, random_posture
from device_sim.script import Script
from device_sim.thermometer import SKIN_CEL, SLOW_BAND_HZ, SLOW_CEL
from device_sim.tones import Tones, random_tones
from device_sim.wearable import GAIN_ERROR, N_FIELD, N_MCG, field_orientations, field_positions_m

Array = NDArray[np.float64]
Nested = TypeVar("Nested")

DEPTH_M = (0.075, 0.095)  # of the heart's dipole below the sensors; from memory
ASIDE_M = 0.010
AXIS_TURN_RAD = 0.25  # spread of the heart's electrical axis, from memory
R_PEAK_PT = (50.0, 100.0)  # on the best channel (DOMAIN 1.3)
TILT_RAD = 0.02  # spread of a sensor's true axis about the nominal one: 1 degree (CAPE; from memory)
BREATH_PT = 4.0  # field change with the breath in the remnant gradient (DOMAIN 1.2: 1 cm in 1 nT/m = 10 pT)
GRADIENT = 0.003  # interference differs by this much between the sensors; from memory


class Chances(NamedTuple):
    """A patient's random number generators: one per use, so that no use shifts another."""

    body: Generator
    heart: Generator
    noise: Generator
    photons: Generator
    fault: Generator
    motion: Generator


class Body(NamedTuple):
    """Constants of the patients; axis 0 is the patient, after `stack_bodies`."""

    breath: Breath
    around: Surroundings
    posture: Posture
    skin_cel: Array  # (n,)
    skin_slow: Tones  # (n, n_tones)
    mix: Array  # (n, N_FIELD, 7): heart x y z in R peaks, field x y z in pT, breath -> pT at the sensors
    gain: Array  # (n, N_FIELD)
    f_wave_hz: Array  # (n,)
    f_wave_start: Array  # (n,)
    light: Array  # (n,): how much light this skin gives back
    sway_rad: Array  # (n, 3): rotation vector by which the heart turns when the lungs are full


def chances_of(seed: int, index: int) -> Chances:
    """Generators of patient `index`: they depend on nothing but these two numbers."""
    return Chances(
        *(default_rng(child) for child in SeedSequence(seed, spawn_key=(1, index)).spawn(len(Chances._fields)))
    )


def random_body(rng: Generator, script: Script, peak_pt: float | None) -> Body:
    """One patient, without the leading axis; `peak_pt` sets the R peak on the best channel, otherwise drawn."""
    positions, nominal = field_positions_m(), field_orientations()
    axes = nominal + rng.normal(0.0, TILT_RAD, (N_FIELD, 3))
    axes /= np.sqrt(np.sum(axes**2, axis=-1, keepdims=True))
    heart_m = np.array([*rng.uniform(-ASIDE_M, ASIDE_M, 2), -rng.uniform(*DEPTH_M)])
    turn = rng.normal(0.0, AXIS_TURN_RAD)
    turned = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    lead = half_space_lead(heart_m, positions, axes) @ turned
    drawn_pt = rng.uniform(*R_PEAK_PT)
    lead *= (peak_pt or drawn_pt) / np.max(np.abs(lead[:N_MCG] @ R_DIRECTION))
    near = axes * (1.0 + rng.normal(0.0, GRADIENT, (N_FIELD, 1)))
    breath_pt = BREATH_PT * rng.standard_normal((N_FIELD, 1))
    return Body(
        breath=random_breath(rng, script.patient.breath_bpm),
        around=random_surroundings(rng),
        posture=random_posture(rng),
        skin_cel=np.array(rng.uniform(*SKIN_CEL)),
        skin_slow=random_tones(rng, 4, SLOW_BAND_HZ, SLOW_CEL),
        mix=np.concatenate([lead, near, breath_pt], axis=1),
        gain=1.0 + rng.normal(0.0, GAIN_ERROR, N_FIELD),
        f_wave_hz=np.array(rng.uniform(5.0, 7.5)),
        f_wave_start=np.array(rng.uniform()),
        light=np.array(rng.uniform(0.6, 1.2)),
        sway_rad=BREATH_SWAY_RAD * rng.standard_normal(3) / np.sqrt(3.0),
    )


def stack_bodies(bodies: list[Body]) -> Body:
    """Put patients on a new leading axis."""
    return _stack(bodies)


def _stack(rows: Sequence[Nested]) -> Nested:
    """Stack arrays, or tuples of them leaf by leaf."""
    first = rows[0]
    if isinstance(first, tuple):
        return cast("Nested", type(first)(*(_stack(leaves) for leaves in zip(*rows, strict=True))))
    return cast("Nested", np.stack(cast("Sequence[Array]", rows)))
