"""Sequence numbers of packets and of samples: what is fresh, repeated, late or missing; pure, per device."""

from typing import Literal, NamedTuple

import msgspec

from ingest.packet import BadPacket, Block, Packet

WINDOW = 1024  # sequence numbers back from the newest within which each is known to have come or not: 256 s of packets
MAX_TRAILS = 4  # boots that are remembered, so that a straggler of an old boot does not look like another boot
BRIDGE_S = 0.2  # a longer gap is not bridged
MAX_BRIDGED = 8  # nor are more blocks than these: each costs a step of its lane
MAX_MISSED = 1_000_000  # a jump further ahead counts as so many: no device publishes that much unheard
MAX_SPANS = 8  # stretches of missing numbers that are told apart by hour and cause

_MASK = (1 << WINDOW) - 1
_ONE = (1).to_bytes(WINDOW // 8, "little")


class Span(msgspec.Struct, frozen=True, array_like=True):
    """Numbers from `first` to the next span, as far as they are missing: where the ledger counts them."""

    first: int
    hour: int
    away: bool
    lost: int  # numbers counted as lost, less those that came late


class Trail(msgspec.Struct, frozen=True, array_like=True):
    """What came of one boot."""

    boot: str
    base: int  # numbers below were published before we listened: they are not missed
    newest: int
    seen: bytes  # bit i, the least first: number ``newest - i`` came
    spans: tuple[Span, ...] = ()  # oldest first; what is missing before the first one is given up


class SequenceState(msgspec.Struct, frozen=True, array_like=True):
    """What came of a device, newest boot first."""

    trails: tuple[Trail, ...] = ()
    unread: int = 0  # messages since the newest packet whose number could not be read


class Verdict(NamedTuple):
    """What a packet is, by its number."""

    kind: Literal["fresh", "repeat", "late"]
    missing: int  # numbers newly missed; -1: one that was missed has come late
    new_boot: bool = False
    hour: int = 0  # where the numbers missed stand in the ledger
    away: bool = False  # they were missed while ingest or the broker was away


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """Counts of packets: ``published == stored + quarantined + lost``, always; repeats and late ones beside."""

    published: int = 0
    stored: int = 0
    quarantined: int = 0
    lost: int = 0
    repeated: int = 0
    late: int = 0
    away: int = 0  # of the lost


def observe(
    state: SequenceState, boot: str, seq: int, *, hour: int = 0, away: bool = False, since_hour: int = 0
) -> tuple[SequenceState, Verdict]:
    """Place a packet in its device's sequence.

    Parameters
    ----------
    state
        What came before.
    boot, seq
        As the packet has them, also a refused one whose header could be read.
    hour, away
        Where the ledger counts what is found missing now.
    since_hour
        The oldest hour that the ledger remembers: what was missed before is given up.

    Notes
    -----
    A device's first boot counts from the first number seen, later boots from 0. A number more than `WINDOW` back, or
    one that was given up, counts as a repeat: a repeat that is taken for late would stand in the ledger twice, a late
    one that is taken for a repeat stays counted as lost. Numbers missed next to messages that could not be read are
    taken to be those.

    Examples
    --------
    >>> state, verdict = observe(SequenceState(), "b1", 7)
    >>> state, verdict = observe(state, "b1", 10, hour=5, away=True)
    >>> verdict
    Verdict(kind='fresh', missing=2, new_boot=False, hour=5, away=True)
    >>> observe(state, "b1", 9, hour=6)[1]
    Verdict(kind='late', missing=-1, new_boot=False, hour=5, away=True)
    """
    trails = state.trails
    boots = [trail.boot for trail in trails]
    if boot not in boots:
        missed = min(seq, MAX_MISSED) if trails else 0
        missing = max(missed - state.unread, 0)
        spans: tuple[Span, ...] = (Span(seq - missed, hour, away, missing),) if missed else ()
        newcomer = Trail(boot, seq - missed, seq, _ONE, spans)
        verdict = Verdict("fresh", missing, new_boot=True, hour=hour, away=away)
        return SequenceState((newcomer, *trails[: MAX_TRAILS - 1])), verdict
    age = boots.index(boot)
    trail = trails[age]
    if seq <= trail.newest:
        trail, verdict = _earlier(trail, seq, since_hour)
        unread = state.unread
    else:
        ahead = seq - trail.newest
        missing = max(min(ahead - 1, MAX_MISSED) - state.unread, 0)
        seen, spans = _ONE, trail.spans
        if ahead < WINDOW:
            bits = int.from_bytes(trail.seen, "little") << ahead & _MASK | 1
            seen = bits.to_bytes(WINDOW // 8, "little")
        if ahead > 1:
            spans = _with(spans, Span(trail.newest + 1, hour, away, missing), seq - WINDOW)
        trail = Trail(boot, trail.base, seq, seen, spans)
        verdict = Verdict("late" if age else "fresh", missing, hour=hour, away=away)
        unread = 0
    return SequenceState((*trails[:age], trail, *trails[age + 1 :]), unread), verdict


def _with(spans: tuple[Span, ...], span: Span, gone: int) -> tuple[Span, ...]:
    """Spans and one more; those of which every number is `gone` or older are dropped."""
    while len(spans) > 1 and spans[1].first <= gone:
        spans = spans[1:]
    if spans and (spans[-1].hour, spans[-1].away) == (span.hour, span.away):
        return (*spans[:-1], msgspec.structs.replace(spans[-1], lost=spans[-1].lost + span.lost))
    return (*spans[1 - MAX_SPANS :], span)


def _earlier(trail: Trail, seq: int, since_hour: int) -> tuple[Trail, Verdict]:
    """Place a number that is not beyond the newest."""
    back = trail.newest - seq
    bits = int.from_bytes(trail.seen, "little")
    if back >= WINDOW or bits >> back & 1:
        return trail, Verdict("repeat", 0)
    seen = (bits | 1 << back).to_bytes(WINDOW // 8, "little")
    if seq < trail.base:  # it came before we listened
        return Trail(trail.boot, trail.base, trail.newest, seen, trail.spans), Verdict("late", 0)
    at = max((i for i, span in enumerate(trail.spans) if span.first <= seq), default=-1)
    if at < 0 or trail.spans[at].hour < since_hour:
        return Trail(trail.boot, trail.base, trail.newest, seen, trail.spans), Verdict("repeat", 0)
    span = trail.spans[at]
    if not span.lost:  # it was taken for a message that could not be read
        return Trail(trail.boot, trail.base, trail.newest, seen, trail.spans), Verdict("late", 0)
    filled = msgspec.structs.replace(span, lost=span.lost - 1)
    spans = (*trail.spans[:at], filled, *trail.spans[at + 1 :])
    verdict = Verdict("late", -1, hour=span.hour, away=span.away)
    return Trail(trail.boot, trail.base, trail.newest, seen, spans), verdict


def unreadable(state: SequenceState) -> SequenceState:
    """A message came whose number could not be read."""
    return SequenceState(state.trails, state.unread + 1)


def count(tally: Tally, verdict: Verdict, *, refused: bool = False) -> Tally:
    """Count a packet that was placed in the sequence; `refused` if it is quarantined.

    Examples
    --------
    >>> count(Tally(), Verdict("fresh", 2))
    Tally(published=3, stored=1, quarantined=0, lost=2, repeated=0, late=0, away=0)
    """
    if verdict.kind == "repeat":
        return msgspec.structs.replace(tally, repeated=tally.repeated + 1)
    return Tally(
        published=tally.published + 1 + verdict.missing,
        stored=tally.stored + (not refused),
        quarantined=tally.quarantined + refused,
        lost=tally.lost + verdict.missing,
        repeated=tally.repeated,
        late=tally.late + (verdict.kind == "late" and not refused),
        away=tally.away + verdict.missing * verdict.away,
    )


def count_unreadable(tally: Tally) -> Tally:
    """Count a message whose number could not be read: published, and quarantined."""
    return msgspec.structs.replace(tally, published=tally.published + 1, quarantined=tally.quarantined + 1)


class StreamCursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a stream's next block should begin; start a new one at every boot and birth."""

    next_sample: int = -1  # -1: not begun


class Continuity(NamedTuple):
    """How a block follows the one before."""

    kind: Literal["contiguous", "bridged", "reseat", "backwards"]
    samples: int = 0  # missing before the block, or how far it reaches back
    blocks: int = 0  # whole blocks to bridge


def follow(cursor: StreamCursor, first_sample: int, block_len: int, rate_hz: float) -> tuple[StreamCursor, Continuity]:
    """Place a block in its stream.

    Returns
    -------
    cursor
        Moved on, unless the block goes backwards.
    continuity
        ``contiguous``; ``bridged``: some whole blocks, at most 8 and of together under 200 ms, are missing;
        ``reseat``: more, or not whole blocks, or the stream begins; ``backwards``: it begins before the end of the one
        before.

    Examples
    --------
    >>> cursor, begins = follow(StreamCursor(), 1000, 25, 500.0)
    >>> follow(cursor, 1050, 25, 500.0)[1]
    Continuity(kind='bridged', samples=25, blocks=1)
    """
    gap = first_sample - cursor.next_sample
    moved = StreamCursor(first_sample + block_len)
    if cursor.next_sample < 0:
        return moved, Continuity("reseat")
    if gap == 0:
        return moved, Continuity("contiguous")
    if gap < 0:
        return cursor, Continuity("backwards", -gap)
    if gap % block_len == 0 and gap < BRIDGE_S * rate_hz and gap <= MAX_BRIDGED * block_len:
        return moved, Continuity("bridged", gap, gap // block_len)
    return moved, Continuity("reseat", gap)


def backwards(packet: Packet, block: Block, name: str, cursor: StreamCursor) -> BadPacket:
    """Refuse a packet that is new by its number but whose samples reach back."""
    return BadPacket(
        "sample-number-backwards",
        f"stream {block.stream} {name!r}: packet {packet.seq} begins at sample {block.first_sample}, "
        f"{cursor.next_sample} or later was expected: count samples on from packet to packet, "
        f"and choose a new boot id when counting restarts",
        packet.boot,
        packet.seq,
    )
