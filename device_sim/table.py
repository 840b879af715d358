"""A device that was taken off: how it is turned and shifted on its way to the table, and in somebody's hand."""

import numpy as np
from numpy.typing import NDArray

from device_sim.activity import HAND_HZ, HAND_MS2
from device_sim.events import ActivityEvent
from device_sim.faults import Fault
from device_sim.script import Span
from device_sim.wearable import GRAVITY

Array = NDArray[np.float64]

# On the table a device lies flat and still, its skin side up: gravity's reaction comes from behind it.
FLAT_MS2 = np.array([0.0, 0.0, -GRAVITY])
LAYING_S = 2.0  # from the chest to the table, and back; from memory
TABLE_M = np.array([0.5, 0.1, -0.1])  # from the chest to the table, in the axes of the chest; from memory


def laid(fault: Fault, t_s: Array) -> Array:
    """How far a device is on its way to the table: 0 on the body, 1 on the table; it is back when the fault ends."""
    there = np.clip((t_s - fault.from_s) / LAYING_S, 0.0, 1.0)
    share = np.minimum(there, np.clip((fault.to_s - t_s) / LAYING_S, 0.0, 1.0))
    way: Array = share**2 * (3.0 - 2.0 * share)
    return way


def table_turns(gravity_ms2: Array) -> Array:
    """Rotation vectors that lay devices flat whose accelerometers read `gravity_ms2`, both of shape ``(n, 3)``.

    Examples
    --------
    >>> from device_sim.activity import turned
    >>> upright = np.array([[0.0, GRAVITY, 0.0]])
    >>> turned(upright.T, table_turns(upright).T).round(6).T.tolist()
    [[0.0, 0.0, -9.80665]]
    """
    size = np.sqrt(np.sum(gravity_ms2**2, axis=-1, keepdims=True))
    axis = np.cross(FLAT_MS2, gravity_ms2)
    length = np.sqrt(np.sum(axis**2, axis=-1, keepdims=True))
    # Who lies perfectly flat turns it over about the body's long axis.
    axis = np.where(length > 0.0, axis / np.where(length > 0.0, length, 1.0), np.array([0.0, 1.0, 0.0]))
    turn: Array = axis * np.arccos(np.clip(-gravity_ms2[:, 2:] / size, -1.0, 1.0))
    return turn


def hand_turn(span: Span[ActivityEvent], t_s: Array) -> Array:
    """Rotation vector of a device in somebody's hand against the table, shape ``(3, n_samples)``.

    What the accelerometer sees as a slow sway is gravity in a hand that tilts; the tremor does not turn it.
    """
    during = (t_s >= span.from_s) & (t_s < span.to_s)
    sway = span.event.size * during * HAND_MS2[0] * np.sin(2.0 * np.pi * HAND_HZ[0] * t_s)
    tilt = sway * np.array([[1.0], [0.7], [0.5]])
    turn: Array = np.cross(tilt, FLAT_MS2[:, None], axis=0) / GRAVITY**2
    return turn
