"""Fairness between devices: what one may send in time, and how much of it goes on at once; by the journal's time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from dataflows.events import SECOND_NS
from dataflows.items import Bind, Data, Unbind

CREDIT_NS = 60 * SECOND_NS  # what a device may send ahead of time: a free-running one may begin with a queue
NOISE_NS = 600 * SECOND_NS  # what it may repeat, or send in vain: a broker may deliver a long queue twice
QUICKER = (3, 2)  # credit grows so much faster than time: clocks differ, and packets repeat
LEAST_PERIOD_NS = SECOND_NS // 50  # what a packet costs at the least: more of them a second are not served for long
QUEUED_NS = 2 * SECOND_NS  # samples older than this on arrival were queued: ahead of time they are not
BEFORE_NS = 600 * SECOND_NS  # what a device may have measured before it was first heard of ...
SINCE_NS = (
    24 * 3600 * SECOND_NS
)  # ... and at most, however long it was silent: beyond time that went by it has no queue
AT_ONCE = 8  # packets of one device that go on between two ticks: each costs its shard a round
AT_ONCE_NS = SECOND_NS // 2  # or as many as it measures in so long
AT_ONCE_AHEAD = 3  # of a device that has spent more than this of its credit: probably a flood that begins
AHEAD_NS = 20 * SECOND_NS
AT_ONCE_FLOODING = 2  # of a device whose packets are being refused
FEW = 8  # when more devices than these wait, a round serves many, and twice as many packets go on
HELD_BYTES = 8 << 20  # of one device
ALL_HELD_BYTES = 32 << 20
OVERHEAD_BYTES = 256  # of an item beside its samples, about

OfDevice = Data | Bind | Unbind


class Credit(msgspec.Struct, frozen=True, array_like=True):
    """A token bucket in units of measured time."""

    left_ns: int = CREDIT_NS
    at_ns: int = 0  # arrival of the newest message


def cost_ns(blocks_ns: Sequence[int], n_streams: int) -> int:
    """Share of measured time that a packet brings, by the durations of its blocks.

    A device may send all its streams in one packet, or each in packets of its own: both use as much in a second.

    Examples
    --------
    >>> cost_ns([250_000_000, 1_000_000_000], 2), cost_ns([250_000_000], 2)
    (625000000, 125000000)
    """
    return max(sum(blocks_ns) // n_streams, LEAST_PERIOD_NS)


def refilled(credit: Credit, arrival_ns: int, most_ns: int, first_ns: int | None = None) -> Credit:
    """Let time pass.

    Parameters
    ----------
    credit
        As it was.
    arrival_ns
        Of the message at hand.
    most_ns
        It grows no further.
    first_ns
        What there is for the first message; None: `most_ns`.
    """
    times, over = QUICKER
    first_ns = most_ns if first_ns is None else first_ns
    grown = credit.left_ns + (arrival_ns - credit.at_ns) * times // over if credit.at_ns else first_ns
    return Credit(min(grown, most_ns), arrival_ns)


def spent(credit: Credit, packet_ns: int) -> Credit:
    """Pay for a message, as far as there is credit."""
    return Credit(max(credit.left_ns - packet_ns, 0), credit.at_ns)


class Held(msgspec.Struct, frozen=True, array_like=True):
    """An item that waits; one of the three is there."""

    shard: int
    data: Data | None = None
    bind: Bind | None = None
    unbind: Unbind | None = None

    @property
    def item(self) -> OfDevice:
        """What waits."""
        item = self.data or self.bind or self.unbind
        if item is None:
            raise ValueError("a held item came without data, bind or unbind: the snapshot was not written by this code")
        return item


class PacingImage(msgspec.Struct, frozen=True, array_like=True):
    """What waits, as it goes into a snapshot."""

    sent: dict[str, int]
    held: dict[str, list[Held]]


class Pacing:
    """Lets some packets of each device on between two ticks, and holds the others back, in order.

    A packet costs its shard a round, however few devices share it; so a device that sends a thousand at once would keep
    its shard, and the patients there, from their turn. What waits is bounded in bytes: beyond, the oldest goes on.
    """

    def __init__(self) -> None:
        self._sent: dict[str, int] = {}  # since the last tick
        self._held: dict[str, deque[Held]] = {}
        self._bytes: dict[str, int] = {}
        self._all_bytes = 0

    def take(self, device: str, shard: int, item: OfDevice, at_once: int) -> Iterator[tuple[int, OfDevice]]:
        """Give one item of a device; what goes on now comes back."""
        waiting = self._held.get(device)
        if waiting is None:
            if not isinstance(item, Data):
                yield shard, item
                return
            sent = self._sent.get(device, 0)
            if sent < at_once:
                self._sent[device] = sent + 1
                yield shard, item
                return
            waiting = self._held[device] = deque()
        held = _held(shard, item)
        waiting.append(held)
        self._count(device, _size(held))
        while device in self._held and (self._bytes[device] > HELD_BYTES or self._all_bytes > ALL_HELD_BYTES):
            first = self._next(device)
            yield first.shard, first.item

    def release(self, awake_ns: int, at_once: Callable[[str], int]) -> Iterator[tuple[int, OfDevice]]:
        """At a tick: let on what is due of each device.

        While a device has packets waiting it is not silent, so all but its last packet wake it now.
        """
        self._sent = {}
        more = 1 if len(self._held) <= FEW else 2
        for device in list(self._held):
            due = at_once(device) * more
            self._sent[device] = due
            while due and device in self._held:
                first = self._next(device)
                item = first.item
                if isinstance(item, Data):
                    due -= 1
                    item = item._replace(awake_ns=awake_ns) if device in self._held else item
                yield first.shard, item

    def waits(self, device: str) -> bool:
        """Whether anything of a device is held."""
        return device in self._held

    def rebinds(self, device: str) -> bool:
        """Whether who wears a device, or its profile, changes behind something that it has waiting."""
        return any(held.data is None for held in self._held.get(device, ()))

    def image(self) -> PacingImage:
        """Copy everything for a snapshot."""
        return PacingImage(dict(self._sent), {device: list(items) for device, items in self._held.items()})

    def restore(self, image: PacingImage) -> None:
        """Take up a snapshot."""
        self._sent = dict(image.sent)
        self._held = {device: deque(items) for device, items in image.held.items()}
        self._bytes = {device: sum(map(_size, items)) for device, items in self._held.items()}
        self._all_bytes = sum(self._bytes.values())

    def _next(self, device: str) -> Held:
        waiting = self._held[device]
        first = waiting.popleft()
        self._count(device, -_size(first))
        if not waiting:
            del self._held[device], self._bytes[device]
        return first

    def _count(self, device: str, size: int) -> None:
        self._bytes[device] = self._bytes.get(device, 0) + size
        self._all_bytes += size


def at_once(packet_ns: int, credit: Credit, *, flooding: bool) -> int:
    """How many packets of a device go on between two ticks."""
    most = AT_ONCE_AHEAD if credit.left_ns < CREDIT_NS - AHEAD_NS else AT_ONCE
    # Never fewer than it measures: whatever else it sends, its own packets must not pile up.
    return max(AT_ONCE_FLOODING if flooding else most, AT_ONCE_NS // max(packet_ns, LEAST_PERIOD_NS))


def _held(shard: int, item: OfDevice) -> Held:
    match item:
        case Data():
            return Held(shard, data=item)
        case Bind():
            return Held(shard, bind=item)
        case Unbind():
            return Held(shard, unbind=item)


def _size(held: Held) -> int:
    samples = sum(len(block.samples) for block in held.data.blocks) if held.data else 0
    return samples + OVERHEAD_BYTES
