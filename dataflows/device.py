"""What the fold keeps of one device: its sequence, its streams, its clock and its ledger."""

from collections.abc import Mapping

import msgspec

from dataflows.events import SECOND_NS, DeviceStatus, Ledger
from dataflows.items import BlockData, Data
from ingest.clock import ClockState, correct, time_of_sample
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
HOLE_NS = SECOND_NS // 5  # a shorter gap is bridged
MAX_AHEAD_S = 600.0  # a free-running device that begins with its queue is ahead by as much; more is a wrong rate
STRANGE_CLOCK_NS = SECOND_NS  # a device's clock that is off by more is said to be


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
        if verdict.kind != "fresh":
            self.sequence, self.tally = sequence, count(self.tally, verdict)
            self.last_seen_ns = arrival_ns
            return None
        cursors = {} if verdict.new_boot else self.cursors
        placed = _placed(cursors, packet, birth)
        if isinstance(placed, BadPacket):
            self.refused(placed)
            return placed
        timed = _timed(self.clock, packet, birth, arrival_ns)
        if isinstance(timed, BadPacket):
            self.refused(timed)
            return timed
        (self.cursors, blocks), (clock, t0_ns) = placed, timed
        # A hole is a hole in time, whether the sample numbers show it or not.
        if t0_ns - self.clock.end_ns > HOLE_NS:
            blocks = tuple(block._replace(fresh=True, bridged=0) for block in blocks)
        self.sequence, self.tally, self.clock = sequence, count(self.tally, verdict), clock
        self.last_seen_ns, self.offset_ns = arrival_ns, t0_ns - packet.t0_ns
        self.noise_floor = packet.blocks[0].noise_floor
        return Data(key, arrival_ns, awake_ns, t0_ns, blocks)

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
            reason="; ".join(filter(None, (status.reason if status else "", self._strange_clock()))),
            last_seen_ns=self.last_seen_ns,
            clock_offset_ms=self.offset_ns / 1e6,
            noise_floor=self.noise_floor,
            revision=self.told,
        )

    def _strange_clock(self) -> str:
        if abs(self.offset_ns) <= STRANGE_CLOCK_NS:
            return ""
        off_s, side = abs(self.offset_ns) / SECOND_NS, "behind" if self.offset_ns > 0 else "ahead"
        off = f"{off_s / 86_400:.1f} days" if off_s > 86_400 else f"{off_s:.0f} s"
        return f"its clock is {off} {side}: set it; the time of arrival is used"


def _placed(
    cursors: Mapping[int, StreamCursor], packet: Packet, birth: Birth
) -> tuple[dict[int, StreamCursor], tuple[BlockData, ...]] | BadPacket:
    """Place each block in its stream, or say that one reaches back."""
    blocks, moved = [], dict(cursors)
    for block in packet.blocks:
        stream = birth.streams[block.stream]
        cursor = moved.get(block.stream, StreamCursor())
        moved[block.stream], how = follow(cursor, block.first_sample, stream.block_len, stream.rate_hz)
        if how.kind == "backwards":
            return backwards(packet, block, stream.name, cursor)
        fresh = how.kind == "reseat"
        blocks.append(BlockData(block.stream, fresh, how.blocks, block.flags, block.noise_floor, block.samples))
    return moved, tuple(blocks)


def _timed(state: ClockState, packet: Packet, birth: Birth, arrival_ns: int) -> tuple[ClockState, int] | BadPacket:
    """Place a packet in corrected time, or say that its samples run ahead of all clocks."""
    # The shortest block ends with the packet: a temperature of the second to come does not.
    block = min(packet.blocks, key=lambda block: birth.streams[block.stream].block_ns)
    stream = birth.streams[block.stream]
    counted_ns = time_of_sample(block.first_sample, stream.rate_hz)
    boot = f"{packet.boot}/{packet.birth}"  # another profile counts its samples at other rates
    clock, t0_ns, _ = correct(state, packet.t0_ns, stream.block_ns, arrival_ns, counted_ns, packet.clock, boot)
    ahead_s = (t0_ns + stream.block_ns - arrival_ns) / SECOND_NS
    if ahead_s > MAX_AHEAD_S:
        return BadPacket(
            "out-of-range",
            f"stream {block.stream} {stream.name!r}: its samples run {ahead_s:.1f} s ahead of their arrival, at most "
            f"{MAX_AHEAD_S:g} s expected: correct rate_hz in the birth, or the sample numbers",
            packet.boot,
            packet.seq,
        )
    return clock, t0_ns
