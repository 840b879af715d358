"""Packets of simulated wearables, made once and said again under any name and at any time."""

from typing import Final

import msgspec

from device_sim.births import reference_birth
from device_sim.fleet import Fleet, FleetOptions
from device_sim.wearable import PACKET_NS, SLOTS_PER_CHUNK
from ingest.packet import Block, Packet
from ingest.profile import Birth

SECOND_NS: Final = 1_000_000_000
RECORDED_NS: Final = 1_700_000_000 * SECOND_NS  # when the recording was made: it does not matter

_packet = msgspec.msgpack.Decoder(Packet)


class Tape:
    """A recording of some patients that goes round and round, while its sample numbers go on.

    Parameters
    ----------
    patients
        How many different hearts there are.
    seconds
        How long a round is.
    seed
        Same seed, same packets.

    Examples
    --------
    >>> tape = Tape(1, seconds=1)
    >>> first, fifth = (tape.packet(0, number, "w1", "boot", 0) for number in (0, 4))
    >>> first.blocks[0].samples == fifth.blocks[0].samples, fifth.blocks[0].first_sample, fifth.seq
    (True, 500, 4)
    """

    def __init__(self, patients: int, seconds: int = 10, seed: int = 1) -> None:
        self._slots = seconds * SLOTS_PER_CHUNK
        fleet = Fleet(FleetOptions(patients=patients, scenario="quiet", seed=seed), RECORDED_NS)
        self._rates_hz = [stream.rate_hz for stream in reference_birth("-", "-", RECORDED_NS).streams]
        self._packets: list[list[Packet]] = [[] for _ in range(patients)]
        for _ in range(self._slots):
            for index, payload in fleet.step():
                self._packets[index].append(_packet.decode(payload))

    def packet(self, source: int, number: int, device: str, boot: str, t0_ns: int) -> Packet:
        """Packet `number` since boot of a device, with the signals of patient `source`.

        Parameters
        ----------
        source
            Any number: hearts are taken in turn.
        number
            Its sequence number; sample numbers follow from it.
        device, boot
            As the packet shall have them.
        t0_ns
            Device time of its first sample.
        """
        mine = self._packets[source % len(self._packets)]
        rounds, place = divmod(number, self._slots)
        packet = mine[place]
        seconds = rounds * self._slots * PACKET_NS // SECOND_NS
        blocks = tuple(self._later(block, seconds) for block in packet.blocks)
        return Packet(packet.version, device, boot, packet.birth, number, t0_ns, packet.clock, blocks)

    def birth(self, device: str, patient: str) -> Birth:
        """Birth that belongs to the packets of a device."""
        return reference_birth(device, patient, RECORDED_NS)

    def _later(self, block: Block, seconds: int) -> Block:
        first = block.first_sample + round(seconds * self._rates_hz[block.stream])
        return Block(block.stream, first, block.flags, block.noise_floor, block.samples)
