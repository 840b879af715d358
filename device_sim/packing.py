"""From a second of signals to the packets of that second."""

import numpy as np
from numpy.typing import NDArray

from device_sim.devices import Device
from device_sim.physics import Signals
from device_sim.wearable import ACCELERATION_RATE_HZ, ACCELERATION_SCALE, PPG_RATE_HZ, SLOTS_PER_CHUNK
from ingest.packet import Block, StateFlag, count_range
from ingest.profile import SAMPLE_BYTES

Array = NDArray[np.float64]

_PPG_LEN = PPG_RATE_HZ // SLOTS_PER_CHUNK
_ACCELERATION_LEN = ACCELERATION_RATE_HZ // SLOTS_PER_CHUNK


class Packed:
    """A second of signals of devices of one kind as the bytes of their blocks.

    Parameters
    ----------
    kind
        The devices.
    signals
        What the sensors put out.
    """

    def __init__(self, kind: Device, signals: Signals) -> None:
        head = kind.head
        self._n_channels, self._n_references = head.n_channels, head.n_all - head.n_channels
        self._len = kind.rate_hz // SLOTS_PER_CHUNK
        self._sample_bytes = SAMPLE_BYTES[head.dtype]
        counts = _slots(signals.field_pt * (1.0 / head.scale_pt))
        np.clip(np.rint(counts, out=counts), *count_range(head.dtype), out=counts)
        raw = counts.astype("<i4")
        self._field = _Blocks(
            _three_bytes(raw) if head.dtype == "i3" else raw, head.n_all * self._len * self._sample_bytes
        )
        self._counts = _Blocks(_slots(signals.counts).astype("<i4"), 3 * _PPG_LEN * 4)
        turned = np.clip(np.rint(_slots(signals.acceleration) / ACCELERATION_SCALE), -32768, 32767)
        self._acceleration = _Blocks(turned.astype("<i2"), 3 * _ACCELERATION_LEN * 2)
        self._temperature = signals.temperature.astype("<f4")
        state = np.where(signals.locked, StateFlag.LOCKED, 0) | np.where(signals.zeroing, StateFlag.ZEROING, 0)
        state |= np.where(signals.calibrating, StateFlag.CALIBRATING, 0)
        # (n, n_all, rate) to (n, slots) for the channels of one stream.
        clipped: NDArray[np.bool_] = np.any(
            signals.saturated.reshape(len(state), head.n_all, SLOTS_PER_CHUNK, self._len), axis=-1
        )
        main, reference = clipped[:, : head.n_channels].any(axis=1), clipped[:, head.n_channels :].any(axis=1)
        self._main_flags = (state | np.where(main, StateFlag.SATURATED, 0)).tolist()
        self._reference_flags = (state | np.where(reference, StateFlag.SATURATED, 0)).tolist()
        self._noise_pt = signals.noise_pt.tolist()
        self._coil_pt, self._cell_cel = signals.coil_pt, signals.cell_cel

    def flags(self, row: int, slot: int) -> int:
        """State flags of the channels that listen to the body."""
        return int(self._main_flags[row][slot])

    def coil_pt(self, row: int) -> float:
        """Largest field that a device's coils add."""
        return float(self._coil_pt[row])

    def cell_cel(self, row: int) -> float:
        """Temperature of a device's cells at the end of the second."""
        return float(self._cell_cel[row])

    def blocks(self, row: int, slot: int, number: int) -> tuple[Block, ...]:
        """Blocks of a device's packet.

        Parameters
        ----------
        row, slot
            Which device, and which quarter of the second.
        number
            Packets before it since the device was started.
        """
        noise_pt = self._noise_pt[row][slot]
        field = self._field.at(row, slot)
        main_bytes = self._n_channels * self._len * self._sample_bytes
        first = number * self._len
        locked = int(StateFlag.LOCKED)
        blocks = [Block(0, first, self._main_flags[row][slot], noise_pt, field[:main_bytes])]
        if self._n_references:
            blocks.append(Block(1, first, self._reference_flags[row][slot], noise_pt, field[main_bytes:]))
        at = len(blocks)
        blocks += [
            Block(at, number * _PPG_LEN, locked, 0.0, self._counts.at(row, slot)),
            Block(at + 1, number * _ACCELERATION_LEN, locked, 0.0, self._acceleration.at(row, slot)),
        ]
        if slot == 0:
            seconds = number // SLOTS_PER_CHUNK
            blocks.append(Block(at + 2, seconds, locked, 0.0, self._temperature[row].tobytes()))
        return tuple(blocks)


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


def _three_bytes(raw: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Little-endian 24-bit integers."""
    return np.ascontiguousarray(raw.view(np.uint8).reshape(*raw.shape, 4)[..., :3])
