"""One device of its kind as it truly is: where its axes really point, its gains, its cross-talk, its drift."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.devices import Head
from device_sim.field import half_space_lead
from device_sim.gradiometer import ScalarGradiometer
from device_sim.imu import ImuUnit, random_imu
from device_sim.thermometer import CONTACT_CEL
from device_sim.tones import Tones, random_tones

Array = NDArray[np.float64]

NEIGHBOUR_M = 0.06  # sensors this near hear each other's modulation; from memory
GRADIENT = 0.003  # interference differs by this much between the sensors; from memory
GAIN_DRIFT, GAIN_DRIFT_BAND_HZ = 0.002, (1e-5, 3e-4)  # of all channels, rms, over minutes to a day; from memory


class Unit(NamedTuple):
    """What differs from device to device; axis 0 is the device, after stacking."""

    frames: Array  # (n, n_all, 3, 3): rows are the sensitive axis and two across it
    near: Array  # (n, n_all): how strong the room's field is there
    mixing: Array  # (n, n_all, n_all): gains on the diagonal, cross-talk beside it
    mismatch: Array  # (n, n_all): of the two cells of a gradiometer
    drift: Tones  # (n, n_tones), of the gain
    imu: ImuUnit
    contact_cel: Array  # (n,): error of the thermometer's contact


def random_unit(rng: Generator, head: Head) -> Unit:
    """One device, without the leading axis."""
    n = head.n_all
    kernel = head.kernel
    positions = head.all_positions_m()
    axes = head.all_orientations() + rng.normal(0.0, head.tilt_rad, (n, 3))
    gains = 1.0 + rng.normal(0.0, head.gain_error, n)
    spread = 1.0 / kernel.rejection if isinstance(kernel, ScalarGradiometer) else 0.0
    distance = np.sqrt(np.sum((positions[:, None] - positions) ** 2, axis=-1))
    beside = (distance > 0.0) & (distance < NEIGHBOUR_M)
    return Unit(
        frames=_frames(axes / np.sqrt(np.sum(axes**2, axis=-1, keepdims=True))),
        near=1.0 + rng.normal(0.0, GRADIENT, n),
        mixing=(np.eye(n) + head.cross_talk * beside) * gains[:, None],
        mismatch=spread * rng.standard_normal(n),
        drift=random_tones(rng, 3, GAIN_DRIFT_BAND_HZ, GAIN_DRIFT),
        imu=random_imu(rng),
        contact_cel=np.array(rng.normal(0.0, CONTACT_CEL)),
    )


def probes(head: Head, unit: Unit) -> tuple[Array, Array]:
    """Points and axes at which a head's channels need the field, for one device without the leading axis.

    Returns
    -------
    tuple of ndarray, shape (n_all * k, 3)
        Positions in m and unit vectors, channel by channel; ``k`` is 3, or 6 of a gradiometer: near cell, then far one.
    """
    positions, frames = head.all_positions_m(), unit.frames
    if isinstance(head.kernel, ScalarGradiometer):
        far = positions + head.kernel.baseline_m * head.all_orientations()
        positions = np.stack([positions, far], axis=1).reshape(-1, 3)
        frames = np.repeat(frames, 2, axis=0)
    return np.repeat(positions, 3, axis=0), frames.reshape(-1, 3)


def chest_lead(head: Head, unit: Unit, heart_m: Array) -> Array:
    """Field of a unit dipole of the heart along x, y and z at every probe, pT per A m, shape ``(n_probes, 3)``."""
    return half_space_lead(heart_m, *probes(head, unit))


def room_lead(head: Head, unit: Unit) -> Array:
    """Field at every probe of one that is the same everywhere, shape ``(n_probes, 3)``."""
    _, axes = probes(head, unit)
    per_channel = len(axes) // head.n_all
    return axes * np.repeat(unit.near, per_channel)[:, None]


def gradient_lead(head: Head, unit: Unit) -> Array:
    """Field at every probe of a gradient, shape ``(n_probes, 9)``: what the cells of a gradiometer do not share.

    The near cell lies half a baseline before the middle of the two, the far one half a baseline behind it.
    """
    if not isinstance(head.kernel, ScalarGradiometer):
        return np.zeros((3 * head.n_all, 0))
    _, axes = probes(head, unit)
    half = 0.5 * head.kernel.baseline_m * head.all_orientations()
    places = np.repeat(np.stack([-half, half], axis=1).reshape(-1, 3), 3, axis=0)
    lead: Array = (axes[:, :, None] * places[:, None, :]).reshape(-1, 9)
    return lead


def _frames(axes: Array) -> Array:
    """Axes of shape (n, 3) and two vectors across each, shape (n, 3, 3)."""
    least = np.eye(3)[np.argmin(np.abs(axes), axis=-1)]
    first = np.cross(axes, least)
    first /= np.sqrt(np.sum(first**2, axis=-1, keepdims=True))
    return np.stack([axes, first, np.cross(axes, first)], axis=1)
