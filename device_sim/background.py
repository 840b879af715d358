"""What a room's field does at random: a continuum of drift, traffic and broadband noise, and vibration."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal

from device_sim.environment import Room
from device_sim.noise import noise_init, noise_step
from device_sim.tones import upsample

Array = NDArray[np.float64]

# Below 10 Hz the field of a city falls as 1 / f in amplitude: traffic, lifts and currents that come and go at every
# scale, without lines (Bowen 2019, Geosci. Instrum. 8:129, Berkeley: trains are broadband noise besides their
# timetable). It does not grow for ever: below this corner it is flat; from memory.
DRIFT_CORNER_HZ = 0.005
TRAM_BAND_HZ = (0.02, 0.2)  # starting and braking currents of trams and trains; from memory
# Above, a floor of currents in the house, or of the shield's own metal, with what is left of 1 / f below the knee; from
# memory.
FLOOR_KNEE_HZ = 10.0
# Floors and beds ring at 10-30 Hz (DOMAIN 1.2; floors at 4-8 Hz and their harmonics).
VIBRATION_BAND_HZ = (10.0, 30.0)

KNOTS_HZ = 10  # the slow parts are straight between their knots
N_SLOW, N_FAST = 6, 4  # rows of random numbers: drift and trams along three axes; floor along three axes and vibration

_WARM_S = 120  # of traffic before the run begins


class BackgroundState(NamedTuple):
    """What the noise carries from chunk to chunk; axis 0 is the patient unless said."""

    drift: Array  # (n, 3, 1)
    tram: Array  # (n_sections, n, 3, 2)
    knot_pt: Array  # (n, 3): the newest knot
    floor: Array  # (n_sections, n, 3, 2)
    vibration: Array  # (n_sections, n, 1, 2)


@dataclass(frozen=True)
class Background:
    """Random part of the field around each patient, homogeneous but for what shakes in its gradient.

    Parameters
    ----------
    room
        How strong each part is.
    rate_hz
        Samples per second.
    """

    room: Room
    rate_hz: float

    def init(self, rngs: list[Generator]) -> BackgroundState:
        """In the middle of a day: drift and traffic have long been there."""
        first = np.stack([rng.standard_normal((3, 1)) for rng in rngs])
        slow = np.stack([rng.standard_normal((3, _WARM_S * KNOTS_HZ)) for rng in rngs])
        tram, zi = signal.sosfilt(_tram(), slow, zi=np.zeros((len(_tram()), *slow.shape[:2], 2)))
        n = len(rngs)
        return BackgroundState(
            drift=first * _drift_pole(),
            tram=zi,
            knot_pt=self.room.drift_pt * first[..., 0] + self.room.tram_pt * tram[..., -1],
            floor=noise_init((n, 3), FLOOR_KNEE_HZ, self.rate_hz),
            vibration=np.zeros((len(self._vibration), n, 1, 2)),
        )

    def step(
        self, state: BackgroundState, slow: Array, fast: Array, shaken_pt_m: Array
    ) -> tuple[BackgroundState, Array]:
        """Field along x, y and z over a chunk of whole tenths of a second, pT, shape ``(n, 3, n_samples)``.

        Parameters
        ----------
        state
            As returned before.
        slow : ndarray, shape (n, 6, n_knots)
            Standard normal numbers, ten a second.
        fast : ndarray, shape (n, 4, n_samples)
            Standard normal numbers.
        shaken_pt_m : ndarray, shape (n, 3)
            What a metre of the vibration makes of the gradient.
        """
        pole = _drift_pole()
        drift, zd = signal.lfilter([np.sqrt(1.0 - pole**2)], [1.0, -pole], slow[:, :3], zi=state.drift)
        tram, zt = signal.sosfilt(_tram(), slow[:, 3:], zi=state.tram)
        new = self.room.drift_pt * drift + self.room.tram_pt * tram
        knots = np.concatenate([state.knot_pt[..., None], new], axis=-1)
        field = upsample(knots, fast.shape[-1] // slow.shape[-1])
        floor, noise = noise_step(state.floor, fast[:, :3], FLOOR_KNEE_HZ, self.rate_hz)
        noise *= self.room.floor_pt
        field += noise
        shake, zv = signal.sosfilt(self._vibration, fast[:, 3:], zi=state.vibration)
        field += (self.room.vibration_m * shaken_pt_m[..., None]) * shake
        return BackgroundState(zd, zt, new[..., -1], floor, zv), field

    @cached_property
    def _vibration(self) -> Array:
        return _of_unit_rms(signal.butter(2, VIBRATION_BAND_HZ, "bandpass", fs=self.rate_hz, output="sos"))


def _drift_pole() -> float:
    return float(np.exp(-2.0 * np.pi * DRIFT_CORNER_HZ / KNOTS_HZ))


@cache
def _tram() -> Array:
    return _of_unit_rms(signal.butter(1, TRAM_BAND_HZ, "bandpass", fs=KNOTS_HZ, output="sos"))


def _of_unit_rms(sos: Array) -> Array:
    """Scale a filter so that white noise of rms 1 comes out with rms 1."""
    impulse = np.zeros(20_000)
    impulse[0] = 1.0
    scaled = sos.copy()
    scaled[0, :3] /= np.sqrt(np.sum(signal.sosfilt(sos, impulse) ** 2))
    return scaled
