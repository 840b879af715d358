"""Skin temperature under the device, as an NV thermometer reads it."""

import numpy as np
from numpy.typing import NDArray

from device_sim.faults import Fault
from device_sim.tones import Tones, evaluate
from device_sim.wearable import TEMPERATURE_NOISE

Array = NDArray[np.float64]

SKIN_CEL = (34.2, 35.8)  # at the chest under a device; from memory
SLOW_CEL = 0.05  # rms of slow changes; from memory
SLOW_BAND_HZ = (0.0005, 0.01)
ROOM_CEL = 23.0
COOLING_S, WARMING_S = 90.0, 150.0  # time constants of a device laid on the table, and put on again; from memory


def temperatures(mean_cel: Array, slow: Tones, t_s: Array, white: Array) -> Array:
    """Readings at 1 Hz.

    Parameters
    ----------
    mean_cel : ndarray, shape (n,)
        Mean skin temperature.
    slow
        Slow changes, one row per patient.
    t_s, white : ndarray, shape (n, n_samples)
        Time, and standard normal numbers.

    Returns
    -------
    ndarray, shape (n, n_samples)
        Cel.
    """
    # Density times the root of the bandwidth, which is half the rate of 1 Hz.
    readings: Array = mean_cel[:, None] + evaluate(slow, t_s) + TEMPERATURE_NOISE * np.sqrt(0.5) * white
    return readings


def off_body(skin_cel: Array, t_s: Array, fault: Fault) -> Array:
    """Readings of a device that is taken off at ``fault.from_s`` and put on again at ``fault.to_s``."""
    away = np.clip(t_s - fault.from_s, 0.0, fault.to_s - fault.from_s)
    back = np.maximum(t_s - fault.to_s, 0.0)
    share: Array = (1.0 - np.exp(-away / COOLING_S)) * np.exp(-back / WARMING_S)
    reading: Array = skin_cel + (ROOM_CEL - skin_cel) * share
    return reading
