"""The last step inside a device: it numbers and dates its packets, and faults of clock and link take hold of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from numpy.random import Generator

from device_sim.expected import muted_slots
from device_sim.faults import CLOCK_SKEW, CLOCK_STEP_S, DOUBLE_SHARE, LOSS_SHARE, SWAP_SHARE, Fault, FaultName
from device_sim.wearable import PACKET_NS
from ingest.codec import encode_packet
from ingest.packet import Block, Packet
from ingest.profile import WIRE_VERSION, Birth

_FREE_RUNNING, _BY_HAND, _DISCIPLINED = range(3)


@dataclass
class Link:
    """Packets of one device.

    Parameters
    ----------
    birth
        What the device published of itself.
    name
        Something that no other device and no other run has: boot ids are made from it.
    origin_ns
        Time of the device's first sample.
    phase_s
        The same since the start of the run.
    rng
        The device's own, for what happens to packets.
    """

    birth: Birth
    name: str
    origin_ns: int
    phase_s: float
    rng: Generator
    seq: int = 0
    boots: int = 0
    first_slot: int = 0  # of this boot
    held: list[bytes] = field(default_factory=list)  # packets that could not leave
    swapped: list[bytes] = field(default_factory=list)  # packets that the next one overtakes
    down: bool = False

    def leaving(self, slot: int, faults: Sequence[Fault], blocks: Callable[[int], tuple[Block, ...]]) -> list[bytes]:
        """Packets that leave the device at the end of a slot: one, none, or all that were held back.

        Parameters
        ----------
        slot
            Packets' time so far.
        faults
            Those that are in force about now.
        blocks
            Gives the blocks of the packet of this slot, by the slots since the device was started.
        """
        names = self.in_force(slot, faults)
        if "silence" in names or "reboot" in names:
            self.down = self.down or "reboot" in names
            return []
        if self.down:
            self.down, self.seq, self.first_slot, self.boots = False, 0, slot, self.boots + 1
        payload = encode_packet(self._packet(slot, faults, names, blocks))
        self.seq += 1
        if not names and not self.held and not self.swapped:
            return [payload]
        if "packet-loss" in names and self.rng.uniform() < LOSS_SHARE:
            return []
        self.held.append(payload)
        if "dead-spot" in names:
            return []
        if "duplication" in names and self.rng.uniform() < DOUBLE_SHARE:
            self.held.append(payload)
        if "reordering" in names and not self.swapped and self.rng.uniform() < SWAP_SHARE:
            self.swapped, self.held = self.held, []
            return []
        leaving = [*self.held, *self.swapped]
        self.held, self.swapped = [], []
        return leaving

    def in_force(self, slot: int, faults: Sequence[Fault]) -> set[FaultName]:
        """Names of the faults that cover a slot."""
        found: set[FaultName] = set()
        for fault in faults:
            first, after = muted_slots(fault, self.phase_s)
            if first <= slot < after:
                found.add(fault.name)
        return found

    def _packet(
        self, slot: int, faults: Sequence[Fault], names: set[FaultName], blocks: Callable[[int], tuple[Block, ...]]
    ) -> Packet:
        t0_ns, clock = self.origin_ns + slot * PACKET_NS, _DISCIPLINED
        if "clock-skew" in names:
            since_s = max(
                self.phase_s + slot * PACKET_NS / 1e9 - fault.from_s for fault in faults if fault.name == "clock-skew"
            )
            t0_ns, clock = t0_ns + round(CLOCK_SKEW * since_s * 1e9), _FREE_RUNNING
        elif "clock-step" in names:
            t0_ns, clock = t0_ns + round(CLOCK_STEP_S * 1e9), _BY_HAND
        boot = f"{crc32(f'{self.name}/{self.boots}'.encode() if self.boots else self.name.encode()):08x}"
        number = slot - self.first_slot
        return Packet(WIRE_VERSION, self.birth.device, boot, self.birth.birth, self.seq, t0_ns, clock, blocks(number))
