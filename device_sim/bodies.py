"""Who lies in the ward: the constants of every patient, drawn from the patient's own random numbers."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from device_sim.brain import Brain, random_brain, source_axes, source_places_m
from device_sim.breath import Breath, random_breath
from device_sim.devices import DEVICES, Head
from device_sim.field import normal_lead, sphere_lead
from device_sim.heartvector import BREATH_SWAY_RAD, R_DIRECTION
from device_sim.imu import Posture, random_posture
from device_sim.script import Script
from device_sim.thermometer import SKIN_CEL, SLOW_BAND_HZ, SLOW_CEL
from device_sim.tones import Tones, random_tones
from device_sim.unit import Unit, chest_lead, probes

Array = NDArray[np.float64]
Nested = TypeVar("Nested")

DEPTH_M = (0.075, 0.095)  # of the heart's dipole below the sensors; from memory
ASIDE_M = 0.010
# The atria's dipole lies to the right of the ventricles', higher and further back; from memory.
ATRIA_M = np.array([-0.015, 0.035, -0.010])
AXIS_TURN_RAD = 0.25  # spread of the heart's electrical axis, from memory
R_PEAK_PT = (50.0, 100.0)  # on the best channel (DOMAIN 1.3)


class Chances(NamedTuple):
    """A patient's random number generators: one per use, so that no use shifts another."""

    body: Generator
    heart: Generator
    noise: Generator
    photons: Generator
    fault: Generator
    motion: Generator
    unit: Generator
    room: Generator
    link: Generator


class Body(NamedTuple):
    """Constants of the patients; axis 0 is the patient, after `stack_bodies`."""

    breath: Breath
    posture: Posture
    skin_cel: Array  # (n,)
    skin_slow: Tones  # (n, n_tones)
    heart_m: Array  # (n, 3): where the ventricles' dipole lies
    dipole: Array  # (n, 3, 3): the heart's vector in R peaks -> A m along the device's axes
    f_wave_hz: Array  # (n,)
    f_wave_start: Array  # (n,)
    light: Array  # (n,): how much light this skin gives back
    sway_rad: Array  # (n, 3): rotation vector by which the heart turns when the lungs are full
    brain: Brain


def chances_of(seed: int, index: int) -> Chances:
    """Generators of patient `index`: they depend on nothing but these two numbers."""
    return Chances(
        *(default_rng(child) for child in SeedSequence(seed, spawn_key=(1, index)).spawn(len(Chances._fields)))
    )


def random_body(rng: Generator, script: Script, peak_pt: float | None) -> Body:
    """One patient, without the leading axis; `peak_pt` sets the R peak on the reference wearable's best channel."""
    heart_m = np.array([*rng.uniform(-ASIDE_M, ASIDE_M, 2), -rng.uniform(*DEPTH_M)])
    turn = rng.normal(0.0, AXIS_TURN_RAD)
    turned = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    drawn_pt = rng.uniform(*R_PEAK_PT)
    # As the reference wearable would see it: another device sees what there is of this dipole where it stands.
    places = DEVICES["reference"].head.all_positions_m()
    lead = normal_lead(heart_m, places[: DEVICES["reference"].head.n_channels]) @ turned
    strength = (peak_pt or drawn_pt) / np.max(np.abs(lead @ R_DIRECTION))
    return Body(
        breath=random_breath(rng, script.patient.breath_bpm),
        posture=random_posture(rng),
        skin_cel=np.array(rng.uniform(*SKIN_CEL)),
        skin_slow=random_tones(rng, 4, SLOW_BAND_HZ, SLOW_CEL),
        heart_m=heart_m,
        dipole=strength * turned,
        f_wave_hz=np.array(rng.uniform(5.0, 7.5)),
        f_wave_start=np.array(rng.uniform()),
        light=np.array(rng.uniform(0.6, 1.2)),
        sway_rad=BREATH_SWAY_RAD * rng.standard_normal(3) / np.sqrt(3.0),
        brain=random_brain(rng),
    )


def body_lead(head: Head, unit: Unit, body: Body) -> Array:
    """From one patient's sources to pT at a head's probes: ventricles and atria in R peaks, or the dipoles of a brain.

    Returns
    -------
    ndarray, shape (n_probes, n_sources)
    """
    if head.kind == "mcg":
        places = (body.heart_m, body.heart_m + ATRIA_M)
        return np.concatenate([chest_lead(head, unit, place) @ body.dipole for place in places], axis=-1)
    # The heart is half a metre from the cap, and the sphere's formula is not for it: a few fT, left out.
    points, axes = probes(head, unit)
    leads = [
        sphere_lead(place, points, axes) @ axis for place, axis in zip(source_places_m(), source_axes(), strict=True)
    ]
    return np.stack(leads, axis=-1)


def stacked(rows: Sequence[Nested]) -> Nested:
    """Put arrays, or tuples of them leaf by leaf, on a new leading axis."""
    first = rows[0]
    if isinstance(first, tuple):
        return cast("Nested", type(first)(*(stacked(leaves) for leaves in zip(*rows, strict=True))))
    return cast("Nested", np.stack(cast("Sequence[Array]", rows)))
