"""Skin temperature under the device, as an NV thermometer reads it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.faults import Fault
from device_sim.noise import noise_init, noise_step
from device_sim.wearable import TEMPERATURE_NOISE

Array = NDArray[np.float64]

SKIN_CEL = (34.2, 35.8)  # at the chest under a device; from memory
CONTACT_CEL = 0.1  # spread of the contact's error (DOMAIN 1.2: 0.1-0.3 K)
SLOW_CEL = 0.05  # rms of slow changes; from memory
SLOW_BAND_HZ = (0.0005, 0.01)
ROOM_CEL = 23.0
COOLING_S, WARMING_S = 90.0, 150.0  # time constants of a device laid on the table, and put on again; from memory


class ThermometerState(NamedTuple):
    """What the thermometers carry from chunk to chunk."""

    lag: Array  # (n, 1)
    pink: Array  # (n_sections, n, 2)


@dataclass(frozen=True)
class Thermometer:
    """NV thermometer: the mean of two spin resonances of nanodiamonds in contact with the skin.

    Parameters
    ----------
    rate_hz
        Readings per second.
    noise_cel
        White noise density, Cel / sqrt(Hz): nanodiamond class, 10 mK (DOMAIN 1.2).
    knee_hz
        Of the 1/f noise; from memory.
    contact_s
        Time constant of the contact; from memory.
    """

    rate_hz: float = 1.0
    noise_cel: float = TEMPERATURE_NOISE
    knee_hz: float = 0.02
    contact_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse a thermometer that cannot be."""
        if not (self.noise_cel >= 0.0 and self.contact_s > 0.0 and 0.0 < self.knee_hz < self.rate_hz / 2):
            raise ValueError(f"{self}: need noise_cel >= 0, contact_s > 0 and a knee in the band")

    def init(self, first_cel: Array) -> ThermometerState:
        """Steady state for temperatures of shape ``(n,)``."""
        return ThermometerState(
            first_cel[:, None] * self._pole, noise_init(first_cel.shape, self.knee_hz, self.rate_hz)
        )

    def step(
        self, state: ThermometerState, skin_cel: Array, white: Array, offset_cel: Array
    ) -> tuple[ThermometerState, Array]:
        """Read temperatures.

        Parameters
        ----------
        state
            As returned before.
        skin_cel, white : ndarray, shape (n, n_samples)
            Of the skin, and standard normal numbers.
        offset_cel : ndarray, shape (n,)
            Error of the contact.
        """
        seen, lag = signal.lfilter([1.0 - self._pole], [1.0, -self._pole], skin_cel, zi=state.lag)
        pink, noise = noise_step(state.pink, white, self.knee_hz, self.rate_hz)
        return ThermometerState(lag, pink), seen + offset_cel[:, None] + self.noise_cel * noise

    @property
    def _pole(self) -> float:
        return float(np.exp(-1.0 / (self.contact_s * self.rate_hz)))


def off_body(skin_cel: Array, t_s: Array, fault: Fault) -> Array:
    """Temperatures at a device that is taken off at ``fault.from_s`` and put on again at ``fault.to_s``."""
    away = np.clip(t_s - fault.from_s, 0.0, fault.to_s - fault.from_s)
    back = np.maximum(t_s - fault.to_s, 0.0)
    share: Array = (1.0 - np.exp(-away / COOLING_S)) * np.exp(-back / WARMING_S)
    reading: Array = skin_cel + (ROOM_CEL - skin_cel) * share
    return reading
