"""Helpers for the simulator's tests: run a fleet and take its packets apart again."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from device_sim.fleet import Fleet, FleetOptions
from device_sim.truth import BeatLine, TruthLine
from ingest.codec import decode_birth, decode_packet
from ingest.packet import BadPacket, Packet, samples
from ingest.profile import Birth

START_NS = 1_700_000_000_123_456_789
Array = NDArray[np.float64]


class Run:
    """A fleet run to its end: packets of every device by number, and the truth.

    Parameters
    ----------
    scenario
        A built-in name, or the path of a TOML file.
    patients, seconds, seed, wfdb
        As in `FleetOptions`.
    """

    def __init__(
        self, scenario: str, patients: int = 1, seconds: float = 10.0, seed: int = 1, wfdb: str | None = None
    ) -> None:
        options = FleetOptions(
            patients=patients, scenario=scenario, seconds=seconds, seed=seed, wfdb=(wfdb,) if wfdb else ()
        )
        self.fleet = Fleet(options, START_NS)
        self.raw: dict[int, list[bytes]] = defaultdict(list)
        self.left_at: dict[int, list[int]] = defaultdict(list)  # step in which each packet left
        self.notes: dict[int, list[bytes]] = defaultdict(list)
        self.statuses: dict[int, list[bytes]] = defaultdict(list)
        self.truth: list[TruthLine] = []
        self.births = {device: [birth] for device, birth in enumerate(self.fleet.births)}
        for step in range(round(4 * seconds)):
            for device, payload in self.fleet.step():
                self.raw[device].append(payload)
                self.left_at[device].append(step)
            for device, note in self.fleet.notes():
                self.notes[device].append(note)
            for device, birth in self.fleet.rebirths():
                self.births[device].append(decoded_birth(birth, self.fleet.births[device].device))
            for device, status in self.fleet.statuses():
                self.statuses[device].append(status)
            self.truth += self.fleet.truth_lines()
        self.truth += self.fleet.closing_lines()

    def packets(self, device: int) -> list[Packet]:
        """Packets of a device, each checked against its birth."""
        birth, *later = self.births[device]
        packets = []
        for payload in self.raw[device]:
            packet = decode_packet(payload, birth.device, birth)
            if isinstance(packet, BadPacket) and packet.reason == "wrong-birth" and later:
                birth, *later = later
                packet = decode_packet(payload, birth.device, birth)
            assert isinstance(packet, Packet), packet
            packets.append(packet)
        return packets

    def signal(self, device: int, stream: int) -> Array:
        """All samples of a stream, shape ``(n_channels, n_samples)``."""
        profile = self.fleet.births[device].streams[stream]
        blocks = [block for packet in self.packets(device) for block in packet.blocks if block.stream == stream]
        return np.concatenate([samples(block, profile) for block in blocks], axis=1)

    def flags(self, device: int, stream: int) -> list[int]:
        """State flags of a stream's blocks."""
        return [block.flags for packet in self.packets(device) for block in packet.blocks if block.stream == stream]

    def beats_s(self, device: int) -> Array:
        """True beats in s after the device's first sample."""
        patient = self.fleet.names[device].patient
        origin = START_NS + self.fleet.phase_ns[device]
        times = [line.time_ns - origin for line in self.truth if isinstance(line, BeatLine) and line.patient == patient]
        return np.array(times) / 1e9


def decoded_birth(payload: bytes, device: str) -> Birth:
    """A birth that is none is a mistake of the simulator."""
    birth = decode_birth(payload, device)
    assert isinstance(birth, Birth), birth
    return birth
