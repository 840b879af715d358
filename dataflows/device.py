"""What the fold keeps of one device: its sequence, its streams, its clock and its ledger."""

import msgspec

from dataflows.events import SECOND_NS, DeviceStatus, Ledger
from dataflows.items import BlockData, Data
from ingest.clock import ClockFlag, ClockState, correct, time_of_sample
from ingest.packet import BadPacket, Packet
from ingest.profile import Birth, Status
from ingest.sequence import (
    SequenceState,
    StreamCursor,
    Tally,
    backwards,
    count,
    count_unreadable,
    follow,
    observe,
    unreadable,
)

HOUR_NS = 3600 * SECOND_NS


class DeviceLog(msgspec.Struct, array_like=True):
    """The record kept of one device."""

    sequence: SequenceState = SequenceState()
    cursors: dict[int, StreamCursor] = {}
    clock: ClockState = ClockState()
    hour: int = 0
    tally: Tally = Tally()
    last_seen_ns: int = 0
    offset_ns: int = 0  # corrected minus raw device time
    noise_floor: float = 0.0
    told: int = 0  # revisions of status and ledger so far
    untold: bool = False

    def turn_hour(self, site: str, name: str, arrival_ns: int) -> Ledger | None:
        """Begin the ledger of a new hour; return the finished one."""
        hour = arrival_ns // HOUR_NS
        done = self.ledger(site, name) if self.hour not in (0, hour) else None
        if hour != self.hour:
            self.hour, self.tally = hour, Tally()
        self.untold = True
        return done

    def reborn(self) -> None:
        """Start every stream anew under a new profile."""
        self.cursors = {}

    def refused(self, bad: BadPacket) -> None:
        """Count a packet that did not pass."""
        self.untold = True
        if not bad.boot:
            self.sequence = unreadable(self.sequence)
            self.tally = count_unreadable(self.tally)
        else:
            self.sequence, verdict = observe(self.sequence, bad.boot, bad.seq)
            self.tally = count(self.tally, verdict, refused=True)

    def accepted(
        self, key: str, packet: Packet, birth: Birth, arrival_ns: int, awake_ns: int
    ) -> Data | BadPacket | None:
        """Place a packet in its sequence; return what goes on, or None if it was a repeat or came late."""
        sequence, verdict = observe(self.sequence, packet.boot, packet.seq)
        if verdict.new_boot:
            self.cursors = {}
        blocks = self._followed(packet, birth) if verdict.kind == "fresh" else ()
        if isinstance(blocks, BadPacket):
            self.refused(blocks)
            return blocks
        self.sequence, self.tally = sequence, count(self.tally, verdict)
        self.last_seen_ns = arrival_ns
        if not blocks:
            return None
        self.noise_floor = packet.blocks[0].noise_floor
        t0_ns, jumped = self._corrected(packet, birth, arrival_ns)
        if jumped:
            blocks = tuple(block._replace(fresh=True) for block in blocks)
        return Data(key, arrival_ns, awake_ns, t0_ns, blocks)

    def _followed(self, packet: Packet, birth: Birth) -> tuple[BlockData, ...] | BadPacket:
        blocks, moved = [], dict(self.cursors)
        for block in packet.blocks:
            stream = birth.streams[block.stream]
            cursor = moved.get(block.stream, StreamCursor())
            moved[block.stream], how = follow(cursor, block.first_sample, stream.block_len, stream.rate_hz)
            if how.kind == "backwards":
                return backwards(packet, block, stream.name, cursor)
            fresh = how.kind == "reseat"
            blocks.append(BlockData(block.stream, fresh, how.blocks, block.flags, block.noise_floor, block.samples))
        self.cursors = moved
        return tuple(blocks)

    def _corrected(self, packet: Packet, birth: Birth, arrival_ns: int) -> tuple[int, bool]:
        """Return a packet's corrected time, and whether time jumps there though the samples go on."""
        # The shortest block ends with the packet: a temperature of the second to come does not.
        block = min(packet.blocks, key=lambda block: birth.streams[block.stream].block_ns)
        stream = birth.streams[block.stream]
        counted_ns = time_of_sample(block.first_sample, stream.rate_hz)
        boot = f"{packet.boot}/{packet.birth}"  # another profile counts its samples at other rates
        self.clock, t0_ns, flags = correct(
            self.clock, packet.t0_ns, stream.block_ns, arrival_ns, counted_ns, packet.clock, boot
        )
        self.offset_ns = t0_ns - packet.t0_ns
        return t0_ns, ClockFlag.JUMPED in flags

    def ledger(self, site: str, name: str) -> Ledger:
        """Tell the hour so far."""
        self.told, self.untold = self.told + 1, False
        tally = self.tally
        return Ledger(
            site,
            name,
            self.hour,
            published=tally.published,
            stored=tally.stored,
            quarantined=tally.quarantined,
            lost=tally.lost,
            repeated=tally.repeated,
            late=tally.late,
            revision=self.told,
        )

    def status(self, site: str, name: str, birth: Birth | None, status: Status | None, patient: str) -> DeviceStatus:
        """Tell what is known of the device."""
        self.told += 1
        return DeviceStatus(
            site,
            name,
            patient,
            model=birth.model if birth else "",
            simulated=birth.simulated if birth else False,
            state=status.state if status else "unknown",
            reason=status.reason if status else "",
            last_seen_ns=self.last_seen_ns,
            clock_offset_ms=self.offset_ns / 1e6,
            noise_floor=self.noise_floor,
            revision=self.told,
        )
