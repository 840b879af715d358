"""What the faults of a device's magnetometers do to their field and to their readings."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.devices import Head
from device_sim.electronics import Reading
from device_sim.faults import (
    CALIBRATION_HZ,
    CALIBRATION_PT,
    CELL_COOLING_S,
    CELL_COOLS_BY_K,
    CELL_HALF_K,
    FAILED_TIMES,
    FLICKER_GROWS_S,
    FLICKER_KNEE_HZ,
    FLICKER_PT,
    GAIN_STEP,
    HEATER_HZ,
    HEATER_PT,
    LASER_STEP_PT,
    NOISE_PT,
    SATURATION_PT,
    SATURATION_RANGES,
    WRONG_GAINS,
    Fault,
    warm_up_s,
)
from device_sim.gradiometer import ScalarGradiometer
from device_sim.helium import Helium
from device_sim.noise import noise_init, noise_step
from device_sim.nv import Nv
from device_sim.opm import UNLOCKED_NOISE_PT, Opm

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ZEROING_S = 3.0  # of re-zeroing at the end of a lost lock (QZFM auto-start takes seconds; from memory)
SWEEP_S = 2.0  # an NV sensor that was started sweeps its microwaves to find the resonances; from memory
_SADDLE_S = 0.3  # an intruding field takes this long to come and go; from memory


def during(fault: Fault, t_s: Array) -> Mask:
    """Which of the times a fault covers."""
    mask: Mask = (t_s >= fault.from_s) & (t_s < fault.to_s)
    return mask


def cell_cooling_k(fault: Fault, t_s: Array | float) -> Array:
    """By how much the cells of a device have cooled."""
    away = np.clip(t_s - fault.from_s, 0.0, fault.to_s - fault.from_s)
    back = np.maximum(t_s - fault.to_s, 0.0)
    cooled: Array = CELL_COOLS_BY_K * (1.0 - np.exp(-away / CELL_COOLING_S)) * np.exp(-back / CELL_COOLING_S)
    return cooled


def waking_s(head: Head, fault: Fault) -> float:
    """How long after a restart a device takes to listen again: its cells warm up, and it looks for its lock."""
    kernel = head.kernel
    if isinstance(kernel, Nv):
        return SWEEP_S
    if isinstance(kernel, Helium):
        return kernel.restrike_s
    return warm_up_s(fault) + (kernel.search_s if isinstance(kernel, ScalarGradiometer) else kernel.zeroing_s)


def intrude(fault: Fault, t_s: Array, head: Head, room_pt: Array) -> None:
    """Put a fault that is a field on that of the room, shape ``(3, n_samples)``, in place."""
    if fault.name == "saturation" and not isinstance(head.kernel, ScalarGradiometer):
        size = max(SATURATION_PT, SATURATION_RANGES * head.kernel.range_pt)
        room_pt[2] += size * _visit(fault, t_s)
    elif fault.name == "calibrating":
        turns = 2.0 * np.pi * np.array(CALIBRATION_HZ)[:, None] * t_s
        room_pt += CALIBRATION_PT * np.sin(turns) * during(fault, t_s)


def shift(fault: Fault, t_s: Array, head: Head, field_pt: Array) -> None:
    """Put a fault on the field that the atoms seem to see, shape ``(n_all, n_probes, n_samples)``, in place."""
    if fault.name == "laser-step":
        field_pt[:, 0] += LASER_STEP_PT * during(fault, t_s)
    elif fault.name == "saturation" and isinstance(head.kernel, ScalarGradiometer):
        # Whatever is everywhere a gradiometer does not mind: a magnet lies at its near cells.
        field_pt[:, 0] += 2.0 * SATURATION_RANGES * head.kernel.range_pt * _visit(fault, t_s)


def _visit(fault: Fault, t_s: Array) -> Array:
    rise = np.clip((t_s - fault.from_s) / _SADDLE_S, 0.0, 1.0)
    there: Array = np.minimum(rise, np.clip((fault.to_s - t_s) / _SADDLE_S, 0.0, 1.0))
    return there


class Hitches:
    """Faults of a batch of devices' magnetometers, as they show in the readings.

    Parameters
    ----------
    head
        What the devices carry.
    rngs
        Random number generators for faults, one per device.
    """

    def __init__(self, head: Head, rngs: list[Generator]) -> None:
        n_devices = len(rngs)
        self._rngs = rngs
        self._head = head
        self._rate_hz = head.kernel.rate_hz
        self._stuck_at = np.full((n_devices, head.n_channels), np.nan)
        self._flicker = noise_init((n_devices, head.n_all), FLICKER_KNEE_HZ, head.kernel.rate_hz)

    def put(self, row: int, fault: Fault, t_s: Array, reading: Reading, noise_pt: Array) -> None:
        """Put a fault on a device's readings, in place.

        Parameters
        ----------
        row, fault
            Which device has what.
        t_s : ndarray, shape (n_samples,)
            Times of the samples.
        reading
            Of the whole batch.
        noise_pt : ndarray, shape (n_devices, n_slots)
            What the devices measure of their own noise.
        """
        rng = self._rngs[row]
        mask = during(fault, t_s)
        slots = mask.reshape(noise_pt.shape[1], -1).any(axis=1)
        field, n = reading.field_pt[row], self._head.n_channels
        match fault.name:
            case "stuck":
                self._stick(row, fault, t_s, reading)
            case "noise" | "lost-lock":
                self._drown(row, fault, t_s, reading)
                density = self._failed_pt(NOISE_PT) if fault.name == "noise" else UNLOCKED_NOISE_PT
                noise_pt[row, slots] = np.maximum(noise_pt[row, slots], density)
            case "heater-line":
                # The current flows through all heaters, and reaches every cell a little differently.
                sizes = HEATER_PT * (1.0 + 0.3 * np.cos(np.arange(len(field)) * 2.4))
                field += sizes[:, None] * np.sin(2.0 * np.pi * HEATER_HZ * t_s) * mask
            case "flicker":
                grown = mask * (1.0 - np.exp(-np.maximum(t_s - fault.from_s, 0.0) / FLICKER_GROWS_S))
                field += grown * self._flick(row, rng.standard_normal(field.shape))
                # What it measures of its own noise, about 10 Hz.
                share = grown.reshape(noise_pt.shape[1], -1).mean(axis=1)
                noise_pt[row] += share * self._failed_pt(FLICKER_PT) * np.sqrt(1.0 + FLICKER_KNEE_HZ / 10.0)
            case "dead-channel":
                # The second one; what is left is noise of the converter.
                field[1 % n] = np.where(mask, 0.02 * rng.standard_normal(len(t_s)), field[1 % n])
                reading.saturated[row, 1 % n] &= ~mask
            case "gain-step":
                field[:n] *= np.where(mask, GAIN_STEP, 1.0)
            case "wrong-calibration":
                field[:n] *= np.where(mask, np.resize(WRONG_GAINS, n)[:, None], 1.0)
            case "cell-cooling":
                self._fade(row, fault, t_s, reading, noise_pt)
                cold = cell_cooling_k(fault, t_s).reshape(noise_pt.shape[1], -1).mean(axis=1) > CELL_HALF_K
                reading.locked[row] &= ~np.repeat(cold, len(t_s) // len(cold))
            case "reboot":
                self._wake(row, fault, t_s, reading, noise_pt)
            case _:
                pass

    def _drown(self, row: int, fault: Fault, t_s: Array, reading: Reading) -> None:
        field, mask = reading.field_pt[row], during(fault, t_s)
        white = np.sqrt(self._rate_hz / 2) * self._rngs[row].standard_normal(field.shape)
        if fault.name == "noise":
            field += mask * self._failed_pt(NOISE_PT) * white
            return
        field[:] = np.where(mask, UNLOCKED_NOISE_PT * white, field)
        reading.saturated[row] &= ~mask
        reading.locked[row] &= ~mask
        reading.zeroing[row] |= mask & (t_s >= fault.to_s - ZEROING_S)

    def _fade(self, row: int, fault: Fault, t_s: Array, reading: Reading, noise_pt: Array) -> None:
        """Less signal under the same noise, and what the device measures of its noise, in terms of the field.

        In open loop the reading shrinks. A closed loop, or one that tracks a frequency, holds its gain and the noise
        grows.
        """
        kernel, field = self._head.kernel, reading.field_pt[row]
        left = 0.5 ** (cell_cooling_k(fault, t_s) / CELL_HALF_K)
        white = kernel.noise_pt * np.sqrt(self._rate_hz / 2) * self._rngs[row].standard_normal(field.shape)
        if isinstance(kernel, Opm) and kernel.loop_gain == 0.0:
            field[:] = left * field + np.sqrt(1.0 - left**2) * white
        else:
            field += np.sqrt(left**-2 - 1.0) * white
        noise_pt[row] = (self._head.noise_pt / left).reshape(noise_pt.shape[1], -1).mean(axis=1)

    def _wake(self, row: int, fault: Fault, t_s: Array, reading: Reading, noise_pt: Array) -> None:
        """Before it listens again a device that was started has to warm up and to find its lock."""
        if self._head.heated:
            self._fade(row, fault, t_s, reading, noise_pt)
        until_s = fault.to_s + waking_s(self._head, fault)
        field, waking = reading.field_pt[row], (t_s >= fault.to_s) & (t_s < until_s)
        white = np.sqrt(self._rate_hz / 2) * self._rngs[row].standard_normal(field.shape)
        field[:] = np.where(waking, UNLOCKED_NOISE_PT * white, field)
        reading.locked[row] &= ~waking
        reading.zeroing[row] |= waking

    def _stick(self, row: int, fault: Fault, t_s: Array, reading: Reading) -> None:
        n, mask = self._head.n_channels, during(fault, t_s)
        field = reading.field_pt[row, :n]
        carried = mask[0] and fault.from_s <= t_s[0] - 1.0 / self._rate_hz
        if carried and np.isfinite(self._stuck_at[row]).all():
            held = self._stuck_at[row]
        else:
            held = field[:, max(0, int(np.argmax(mask)) - 1)].copy()
        field[:] = np.where(mask, held[:, None], field)
        reading.saturated[row, :n] &= ~mask
        self._stuck_at[row] = held

    def _flick(self, row: int, white: Array) -> Array:
        """Noise with a knee far above the device's own, pT."""
        pink, noise = noise_step(self._flicker[:, row], white, FLICKER_KNEE_HZ, self._rate_hz)
        self._flicker[:, row] = pink
        return self._failed_pt(FLICKER_PT) * noise

    def _failed_pt(self, density_pt: float) -> float:
        """White density of noise that a part which fails adds, pT / sqrt(Hz)."""
        return max(density_pt, FAILED_TIMES * self._head.noise_pt)
