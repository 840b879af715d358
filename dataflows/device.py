"""What the fold keeps of one device: its sequence, its streams, its clock, its credit and its ledger."""

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from dataflows import pacing
from dataflows.ailments import SILENT_NS, Ailments
from dataflows.events import NAN, SECOND_NS, DeviceStatus, Ledger
from dataflows.items import BlockData, Data
from dataflows.pacing import BEFORE_NS, CREDIT_NS, NOISE_NS, QUEUED_NS, SINCE_NS, Credit
from dataflows.waking import Now
from dataflows.wear import Wear
from ingest.clock import ClockFlag, ClockState, correct, set_ahead, time_of_sample
from ingest.packet import ALL_FLAGS, BadPacket, Block, Packet, StateFlag
from ingest.profile import Birth, Status
from ingest.sequence import (
    SequenceState,
    StreamCursor,
    Tally,
    Verdict,
    backwards,
    count,
    count_unreadable,
    follow,
    observe,
    unreadable,
)

HOUR_NS = 3600 * SECOND_NS
HOURS_KEPT = 2  # this one and the one before: what was missed there may still come late
HOLE_NS = SECOND_NS // 5  # a shorter gap is bridged
MAX_AHEAD_S = 60.0  # a free-running device that begins with its queue is ahead by as much; more is a wrong rate
STRANGE_CLOCK_NS = SECOND_NS  # a device's clock that is off by more is said to be
SILENT_PACKETS = 4  # as many packets that did not come are silence, where packets are long
TURNS = 16  # so often do boots take turns before two devices are said to share a name; a reboot's stragglers are fewer
TURNS_NS = 60 * SECOND_NS  # no turn for so long: they share it no more
SAID = {  # of a sensor by itself; that it is locked goes without saying
    StateFlag.ZEROING: "zeroing",
    StateFlag.SATURATED: "saturated",
    StateFlag.CALIBRATING: "calibrating",
    StateFlag.OFF_BODY: "off-body",
}


class Hour(msgspec.Struct, array_like=True):
    """The ledger of one hour."""

    hour: int
    tally: Tally = Tally()
    untold: bool = True


class DeviceLog(msgspec.Struct, array_like=True):
    """The record kept of one device."""

    sequence: SequenceState = SequenceState()
    cursors: dict[int, StreamCursor] = {}
    clock: ClockState = ClockState()
    hours: list[Hour] = []  # newest last
    last_seen_ns: int = 0
    offset_ns: int = 0  # corrected minus raw device time
    noise_floor: float = 0.0
    untold: bool = False
    heard_ns: int = 0  # waking time of the newest message
    asleep_ns: int = 0  # `Now.asleep_ns` at the newest packet
    packet_ns: int = 0  # share of measured time that the newest packet brought
    credit: Credit = Credit()  # for packets that go on
    noise: Credit = Credit()  # for messages that bring nothing: repeats, late ones, refused ones
    flood: int = 0  # messages that were too many, in the flood that goes on
    flooded_ns: int = 0  # arrival of the newest of them; 0: no flood
    moved: str = ""  # the boot that sent the newest packet
    turns: int = 0  # how often another boot sent a packet since two began to take turns
    turned_ns: int = 0
    flags: int = 0  # of the newest packet: locked if all of its sensors are, the others if one is
    queue: Credit = Credit(BEFORE_NS)  # for all that it measured, queued or not
    set_ns: int = 0  # `Now.set_ns` at the newest packet
    ailments: Ailments = msgspec.field(default_factory=Ailments)
    grave: str = ""  # what its wearer's nurse was told last to be wrong with it, by name
    wear: Wear = msgspec.field(default_factory=Wear)

    def turn_hour(self, site: str, name: str, now: Now, revision: int) -> list[Ledger]:
        """Begin the ledger of a new hour; return what was not told of those before, as one of them is forgotten."""
        hour, self.untold = now.arrival_ns // HOUR_NS, True
        if self.hours and self.hours[-1].hour == hour:
            return []
        done = [_row(one, site, name, revision) for one in self.hours if one.untold]
        self.hours = [*self.hours[1 - HOURS_KEPT :], Hour(hour)]
        return done

    def reborn(self, birth: Birth) -> None:
        """Start every stream anew under a new profile."""
        self.cursors = {}
        self.wear.moved()  # it may have been calibrated
        self.packet_ns = pacing.cost_ns(birth.periods_ns, len(birth.streams))

    def refused(self, bad: BadPacket, now: Now) -> None:
        """Count a packet that did not pass."""
        self._brought_nothing(now, too_many=bad.reason == "flooding")
        self._quarantined(bad, now)

    def accepted(self, key: str, packet: Packet, birth: Birth, now: Now) -> Data | BadPacket | None:
        """Place a packet in its sequence; return what goes on, or None if it was a repeat or came late."""
        self._follow(now)
        sequence, verdict = self._observed(packet.boot, packet.seq, now, packet.t0_ns)
        if verdict.kind != "fresh":
            self._brought_nothing(now)
            self.sequence = sequence
            self.ailments.numbered(verdict, now.arrival_ns)
            self._count(verdict, packet.boot, now)
            self.last_seen_ns = now.arrival_ns
            return None
        credit = pacing.refilled(self.credit, now.arrival_ns, CREDIT_NS)
        queue = pacing.refilled(self.queue, now.arrival_ns, SINCE_NS, BEFORE_NS)
        cursors = {} if verdict.new_boot else self.cursors
        placed = _placed(cursors, packet, birth)
        if isinstance(placed, BadPacket):
            self.refused(placed, now)
            return placed
        blocks_ns = [birth.periods_ns[block.stream] for block in packet.blocks]
        timed = _timed(self.clock, packet, birth, now, blocks_ns)
        if isinstance(timed, BadPacket):
            # A wrong rate runs ahead slowly and leaves credit; a flood has spent it by now.
            bad = self._flood(packet) if credit.left_ns < CREDIT_NS * 2 // 5 else timed
            self.refused(bad, now)
            return bad
        (moved, blocks), (clock, t0_ns, happened) = placed, timed
        packet_ns = pacing.cost_ns(blocks_ns, len(birth.streams))
        queued = clock.end_ns < now.arrival_ns - QUEUED_NS
        if (queue if queued else credit).left_ns < packet_ns:
            bad = self._flood(packet, queued=queued)
            self.refused(bad, now)
            return bad
        queue, credit = pacing.spent(queue, packet_ns), credit if queued else pacing.spent(credit, packet_ns)
        # A hole is a hole in time, whether the sample numbers show it or not.
        if t0_ns - self.clock.end_ns > HOLE_NS:
            blocks = tuple(block._replace(fresh=True, bridged=0) for block in blocks)
        self._ail(verdict, packet.t0_ns, clock.samples_ns - min(blocks_ns), clock.end_ns, happened, now)
        self.cursors, self.sequence, self.clock = moved, sequence, clock
        self.credit, self.queue = credit, queue
        self._count(verdict, packet.boot, now)
        self.last_seen_ns, self.offset_ns, self.packet_ns = now.arrival_ns, t0_ns - packet.t0_ns, packet_ns
        self.noise_floor = next((b.noise_floor for b in packet.blocks if b.stream == 0), self.noise_floor)
        self.flags = _flags(packet.blocks)
        if self.flags == StateFlag.LOCKED:
            self.wear.take(self.noise_floor, birth.streams[0].noise_floor, now.arrival_ns)
        return Data(key, now.arrival_ns, now.awake_ns, t0_ns, self.offset_ns, blocks)

    def falls_silent(self, awake_ns: int) -> bool:
        """Whether nothing has come for a while, and that is news."""
        newly = not self.ailments.silent and self.silent(awake_ns)
        self.ailments.silent |= newly
        return newly

    def silent(self, awake_ns: int) -> bool:
        """Whether nothing has come for a while."""
        return awake_ns - self.heard_ns >= max(SILENT_NS, SILENT_PACKETS * self.packet_ns)

    def ledgers(self, site: str, name: str, revision: int) -> Iterator[Ledger]:
        """Tell the hours that changed."""
        self.untold = False
        return (_row(hour, site, name, revision) for hour in self.hours if hour.untold)

    def status(
        self, site: str, name: str, birth: Birth | None, status: Status | None, patient: str, now: Now, revision: int
    ) -> DeviceStatus:
        """Tell what is known of the device."""
        reasons = (status.reason if status else "", self._strange_clock(), self._shared(now), self._flooding())
        streams = birth.streams if birth else ()
        expiries = [stream.calibration.expiry_ns for stream in streams if stream.calibration]
        expiry_ns = min(filter(None, expiries), default=0)
        self.ailments.told = self.ailments.names(now.arrival_ns)
        expired = ("calibration-expired",) if 0 < expiry_ns < now.arrival_ns else ()
        ageing = ("sensor-ageing",) if self.wear.ages else ()
        faults = {*self.ailments.told, *(status.faults if status else ()), *expired, *ageing}
        return DeviceStatus(
            site,
            name,
            patient,
            model=birth.model if birth else "",
            simulated=birth.simulated if birth else False,
            state=status.state if status else "unknown",
            reason="; ".join(filter(None, reasons)),
            last_seen_ns=self.last_seen_ns,
            clock_offset_ms=self.offset_ns / 1e6,
            noise_floor=self.noise_floor,
            revision=revision,
            declared_noise_floor=streams[0].noise_floor or NAN if streams else NAN,
            noise_unit=f"{streams[0].unit}/sqrt(Hz)" if streams else "",
            calibration_expiry_ns=expiry_ns,
            locked=bool(self.flags & StateFlag.LOCKED),
            flags=" ".join(word for flag, word in SAID.items() if self.flags & flag),
            faults=" ".join(sorted(faults)),
            ageing=_percent(self.wear.a_day),
            ageing_u=_percent(self.wear.u),
        )

    def _ail(self, verdict: Verdict, t0_ns: int, sample_ns: int, end_ns: int, happened: ClockFlag, now: Now) -> None:
        """Take note of what a fresh packet says of its device and of its way."""
        ailments, arrival_ns = self.ailments, now.arrival_ns
        if verdict.new_boot:
            ailments.restarted(arrival_ns, before=bool(self.clock.boot))
        ailments.numbered(verdict, arrival_ns)
        if now.asleep_ns == self.asleep_ns:  # what ingest held up is not the device's doing
            ailments.came(end_ns, arrival_ns, self.last_seen_ns)
        ailments.silent = False
        ailments.dated(sample_ns, t0_ns - sample_ns, arrival_ns, stepped=ClockFlag.STEPPED in happened)

    def _follow(self, now: Now) -> None:
        """Follow the journal's clock where it was set ahead: else all that comes would be as late as that."""
        if now.set_ns != self.set_ns and self.clock.boot:
            self.clock = set_ahead(self.clock, now.set_ns - self.set_ns)
            self.offset_ns += now.set_ns - self.set_ns
        self.set_ns = now.set_ns

    def _observed(self, boot: str, seq: int, now: Now, t0_ns: int | None) -> tuple[SequenceState, Verdict]:
        away = now.asleep_ns > self.asleep_ns
        if not away and now.away and t0_ns is not None:  # or it could not be sent on, and the device lost it later
            missing = (self.clock.end_ns, t0_ns + self.offset_ns)
            away = any(start < missing[1] and end > missing[0] for start, end in now.away) and missing[0] < missing[1]
        hour, since = self.hours[-1].hour, self.hours[0].hour
        return observe(self.sequence, boot, seq, hour=hour, away=away, since_hour=since)

    def _quarantined(self, bad: BadPacket, now: Now) -> None:
        self.untold = True
        if bad.boot:
            self.sequence, verdict = self._observed(bad.boot, bad.seq, now, None)
            self._count(verdict, bad.boot, now, refused=True)
        else:
            self.sequence = unreadable(self.sequence)
            self.hours[-1].tally, self.hours[-1].untold = count_unreadable(self.hours[-1].tally), True

    def _count(self, verdict: Verdict, boot: str, now: Now, *, refused: bool = False) -> None:
        """Enter a verdict into the hour to which it belongs: one that comes late fills the hour that missed it."""
        missed_in = verdict.hour if verdict.missing < 0 else self.hours[-1].hour
        for hour in self.hours:
            if hour.hour == missed_in:
                hour.tally, hour.untold = count(hour.tally, verdict, refused=refused), True
        self.asleep_ns = now.asleep_ns
        if now.arrival_ns - self.turned_ns > TURNS_NS:
            self.turns = 0
        if verdict.kind != "repeat":
            if not verdict.new_boot and boot != self.moved:
                self.turns, self.turned_ns = self.turns + 1, now.arrival_ns
            self.moved = boot

    def _brought_nothing(self, now: Now, *, too_many: bool = False) -> None:
        """Take note of a message without use; very many of them are a flood like any other."""
        self.noise = pacing.refilled(self.noise, now.arrival_ns, NOISE_NS)
        if too_many or self.noise.left_ns < self.packet_ns:
            self.flood, self.flooded_ns = self.flood + 1, now.arrival_ns
        self.noise = pacing.spent(self.noise, self.packet_ns)

    def _flood(self, packet: Packet, *, queued: bool = False) -> BadPacket:
        came = (
            f"a queue came that is more than {BEFORE_NS // SECOND_NS} s longer than the device was silent"
            if queued
            else f"{CREDIT_NS // SECOND_NS} s of samples came ahead of their time"
        )
        return BadPacket(
            "flooding",
            f"{came}, by the birth one such packet is expected every {self.packet_ns / 1e6:g} ms: correct the device, "
            "or the rates in its birth",
            packet.boot,
            packet.seq,
        )

    def _flooding(self) -> str:
        return f"it floods: {self.flood} messages were too many" if self.flooded_ns else ""

    def _shared(self, now: Now) -> str:
        if self.turns < TURNS or now.arrival_ns - self.turned_ns > TURNS_NS:
            return ""
        boots = " and ".join(sorted(trail.boot for trail in self.sequence.trails[:2]))
        return f"two devices use this name (boots {boots} take turns): give each its own, only one is listened to"

    def _strange_clock(self) -> str:
        if abs(self.offset_ns) <= STRANGE_CLOCK_NS:
            return ""
        off_s, side = abs(self.offset_ns) / SECOND_NS, "behind" if self.offset_ns > 0 else "ahead"
        off = f"{off_s / 86_400:.1f} days" if off_s > 86_400 else f"{off_s:.0f} s"
        return f"its clock is {off} {side}: set it; the time of arrival is used"


def _percent(share: float) -> float:
    return NAN if math.isnan(share) else 100.0 * share  # one NaN for all, so that rows can be compared


def _flags(blocks: Sequence[Block]) -> int:
    some, every = 0, ALL_FLAGS
    for block in blocks:
        some, every = some | block.flags, every & block.flags
    return (some & ~StateFlag.LOCKED) | (every & StateFlag.LOCKED)


def _row(hour: Hour, site: str, name: str, revision: int) -> Ledger:
    hour.untold = False
    tally = hour.tally
    return Ledger(
        site,
        name,
        hour.hour,
        published=tally.published,
        stored=tally.stored,
        quarantined=tally.quarantined,
        lost=tally.lost,
        repeated=tally.repeated,
        late=tally.late,
        away=tally.away,
        revision=revision,
    )


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


def _timed(
    state: ClockState, packet: Packet, birth: Birth, now: Now, blocks_ns: Sequence[int]
) -> tuple[ClockState, int, ClockFlag] | BadPacket:
    """Place a packet in corrected time, or say that its samples run ahead of all clocks."""
    # The shortest block ends with the packet: a temperature of the second to come does not.
    duration_ns = min(blocks_ns)
    block = packet.blocks[blocks_ns.index(duration_ns)]
    stream = birth.streams[block.stream]
    counted_ns = time_of_sample(block.first_sample, stream.rate_hz)
    boot = f"{packet.boot}/{packet.birth}"  # another profile counts its samples at other rates
    clock, t0_ns, happened = correct(
        state, packet.t0_ns, duration_ns, now.arrival_ns, counted_ns, packet.clock, boot, away=now.away
    )
    ahead_s = (t0_ns + duration_ns - now.arrival_ns) / SECOND_NS
    if ahead_s > MAX_AHEAD_S:
        return BadPacket(
            "out-of-range",
            f"stream {block.stream} {stream.name!r}: its samples run {ahead_s:.1f} s ahead of their arrival, at most "
            f"{MAX_AHEAD_S:g} s expected: correct rate_hz in the birth, or the sample numbers",
            packet.boot,
            packet.seq,
        )
    return clock, t0_ns, happened
