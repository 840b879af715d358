"""Samples of every simulated device as whole counts; run by itself, it writes them to a file for another process."""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device_sim.fleet import Fleet, FleetOptions
from ingest.codec import decode_packet
from ingest.packet import Packet

START_NS = 1_700_000_000_123_456_789
SCENARIO = "devices"
DTYPES = {"i2": "<i2", "i4": "<i4", "f4": "<f4"}


def counts_of(seconds: int) -> dict[str, NDArray[np.int64]]:
    """Counts by model of device and stream, shape ``(n_channels, n_samples)``; temperatures by the bits that they are.

    The bits of two floats of one sign, read as integers, lie as far apart as there are floats between them.
    """
    fleet = Fleet(FleetOptions(patients=12, scenario=SCENARIO, seconds=seconds), START_NS)
    parts: dict[str, list[NDArray[np.int64]]] = {}
    for _ in range(4 * seconds):
        for device, payload in fleet.step():
            birth = fleet.births[device]
            packet = decode_packet(payload, birth.device, birth)
            if not isinstance(packet, Packet):
                raise TypeError(f"{birth.model}: {packet}")
            for block in packet.blocks:
                stream = birth.streams[block.stream]
                counts = _integers(block.samples, stream.dtype).reshape(stream.n_channels, -1)
                parts.setdefault(f"{device} {birth.model}/{stream.name}", []).append(counts)
    return {name: np.concatenate(blocks, axis=-1) for name, blocks in parts.items()}


def _integers(data: bytes, dtype: str) -> NDArray[np.int64]:
    if dtype == "i3":
        three = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int64)
        raw = three[:, 0] | three[:, 1] << 8 | three[:, 2] << 16
        return np.where(raw >= 1 << 23, raw - (1 << 24), raw)
    return np.frombuffer(data, "<i4" if dtype == "f4" else DTYPES[dtype]).astype(np.int64)


if __name__ == "__main__":
    np.savez(Path(sys.argv[1]), **counts_of(int(sys.argv[2])))  # type: ignore[arg-type]  # its stub takes a flag by name
