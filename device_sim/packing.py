"""From a second of signals to the packets of that second."""

import numpy as np
from numpy.typing import NDArray

from device_sim.physics import Signals
from device_sim.wearable import (
    ACCELERATION,
    ACCELERATION_RATE_HZ,
    ACCELERATION_SCALE,
    FIELD_RATE_HZ,
    MCG,
    N_FIELD,
    N_MCG,
    OPM_SCALE_PT,
    PPG,
    PPG_RATE_HZ,
    REFERENCE,
    SLOTS_PER_CHUNK,
    TEMPERATURE,
)
from ingest.packet import Block, StateFlag

Array = NDArray[np.float64]

_FIELD_LEN = FIELD_RATE_HZ // SLOTS_PER_CHUNK
_PPG_LEN = PPG_RATE_HZ // SLOTS_PER_CHUNK
_ACCELERATION_LEN = ACCELERATION_RATE_HZ // SLOTS_PER_CHUNK


class Packed:
    """A second of signals as the bytes of its blocks.

    Parameters
    ----------
    signals
        What the sensors put out.
    first_slot
        Number of the second's first packet slot since boot: sample numbers follow from it.
    """

    def __init__(self, signals: Signals, first_slot: int) -> None:
        self._first_slot = first_slot
        self._field = _Blocks(_three_bytes(_slots(signals.field_pt / OPM_SCALE_PT)), N_FIELD * _FIELD_LEN * 3)
        self._counts = _Blocks(_slots(signals.counts).astype("<i4"), 3 * _PPG_LEN * 4)
        raw = np.clip(np.rint(_slots(signals.acceleration) / ACCELERATION_SCALE), -32768, 32767)
        self._acceleration = _Blocks(raw.astype("<i2"), 3 * _ACCELERATION_LEN * 2)
        self._temperature = signals.temperature.astype("<f4")
        state = np.where(signals.locked, StateFlag.LOCKED, 0) | np.where(signals.zeroing, StateFlag.ZEROING, 0)
        # (n, N_FIELD, 500) to (n, slots) for the channels of one stream.
        clipped: NDArray[np.bool_] = np.any(
            signals.saturated.reshape(len(state), N_FIELD, SLOTS_PER_CHUNK, _FIELD_LEN), axis=-1
        )
        mcg, reference = clipped[:, :N_MCG].any(axis=1), clipped[:, N_MCG:].any(axis=1)
        self._mcg_flags = (state | np.where(mcg, StateFlag.SATURATED, 0)).tolist()
        self._reference_flags = (state | np.where(reference, StateFlag.SATURATED, 0)).tolist()
        self._noise_pt = signals.noise_pt.tolist()

    def blocks(self, row: int, slot: int) -> tuple[Block, ...]:
        """Blocks of a device's packet `slot` of this second."""
        number = self._first_slot + slot
        noise_pt = self._noise_pt[row][slot]
        field = self._field.at(row, slot)
        mcg_bytes = N_MCG * _FIELD_LEN * 3
        first = number * _FIELD_LEN
        locked = int(StateFlag.LOCKED)
        blocks = (
            Block(MCG, first, self._mcg_flags[row][slot], noise_pt, field[:mcg_bytes]),
            Block(REFERENCE, first, self._reference_flags[row][slot], noise_pt, field[mcg_bytes:]),
            Block(PPG, number * _PPG_LEN, locked, 0.0, self._counts.at(row, slot)),
            Block(ACCELERATION, number * _ACCELERATION_LEN, locked, 0.0, self._acceleration.at(row, slot)),
        )
        if slot:
            return blocks
        seconds = number // SLOTS_PER_CHUNK
        return (*blocks, Block(TEMPERATURE, seconds, locked, 0.0, self._temperature[row].tobytes()))


class _Blocks:
    """Bytes of equal size, one per row and slot."""

    def __init__(self, samples: NDArray[np.generic], size: int) -> None:
        self._bytes = samples.tobytes()
        self._size = size

    def at(self, row: int, slot: int) -> bytes:
        start = (row * SLOTS_PER_CHUNK + slot) * self._size
        return self._bytes[start : start + self._size]


def _slots(samples: Array) -> Array:
    """Shape (n, channels, samples of a second) to (n, slots, channels, samples of a slot)."""
    n, n_channels, _ = samples.shape
    return np.ascontiguousarray(samples.reshape(n, n_channels, SLOTS_PER_CHUNK, -1).transpose(0, 2, 1, 3))


def _three_bytes(counts: Array) -> NDArray[np.uint8]:
    """Little-endian 24-bit integers; a magnetometer's range of 5 nT is 500,000 counts, so none overflows."""
    whole = np.rint(counts).astype("<i4")
    return np.ascontiguousarray(whole.view(np.uint8).reshape(*whole.shape, 4)[..., :3])
