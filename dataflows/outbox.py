"""What leaves the fold: items on their way to shards, and rows on their way to the store."""

from collections.abc import Callable
from typing import NamedTuple

from dataflows.events import Bad, Row
from dataflows.items import WARD_KEY, Bind, Hushed, Item, Tick, Where, shard_of
from dataflows.pacing import OfDevice, Pacing
from dataflows.refusals import Refusals
from dataflows.waking import Now
from ingest.journal import Record
from ingest.packet import BadPacket


class Folded(NamedTuple):
    """An item for a shard, or a row for the store."""

    shard: int | None  # None: a row
    content: Item | Row


class Outbox:
    """Collects what is to leave; holds back what a device sends too much of, and what is refused too often.

    Parameters
    ----------
    n_shards
        Patients are shared out among so many.
    at_once : callable
        How many packets of a device, by its key, go on between two ticks.
    """

    def __init__(self, n_shards: int, at_once: Callable[[str], int]) -> None:
        self.pacing = Pacing()
        self.refusals = Refusals()
        self._n_shards = n_shards
        self._at_once = at_once
        self._out: list[Folded] = []

    def collect(self) -> list[Folded]:
        """Hand over all that is there."""
        out, self._out = self._out, []
        return out

    def row(self, row: Row) -> None:
        """Send a row to the store."""
        self._out.append(Folded(None, row))

    def to(self, patient: str, item: Item) -> None:
        """Send an item to the shard of a patient, or of the ward."""
        self._out.append(Folded(shard_of(patient, self._n_shards), item))

    def of_device(self, patient: str, item: OfDevice) -> None:
        """Send what concerns a device: it waits behind what the device has waiting."""
        shard = shard_of(patient, self._n_shards)
        for where, what in self.pacing.take(item.device, shard, item, self._at_once(item.device)):
            self._out.append(Folded(where, what))

    def renew(self, bind: Bind) -> None:
        """Tell a shard again who wears a device, ahead of what waits: to that it makes no difference, as it must not.

        Where another binding waits, this one is not in force yet, and the shard is told when its turn comes.
        """
        if not self.pacing.rebinds(bind.device):
            self.to(bind.patient, bind)

    def refuse(self, record: Record, site: str, bad: BadPacket, item: int = 0) -> None:
        """Keep a refused message, or count it with its like."""
        size = len(record.payload)
        row = Bad(site, record.offset, item, record.arrival_ns, record.topic[:256], bad.reason, bad.detail, size)
        if (shown := self.refusals.take(row)) is not None:
            self.row(shown)

    def hush(self, where: Where, silent: int, of: int, begun_ns: int, joined_ns: int, arrival_ns: int) -> None:
        """Tell every shard that a ward fell silent, or is so no more; that of the ward tells it."""
        subject = f"{WARD_KEY}/{where.site}/{where.ward}"
        ward = shard_of(WARD_KEY, self._n_shards)
        for shard in range(self._n_shards):
            hushed = Hushed(subject, where, silent, of, begun_ns, joined_ns, arrival_ns, shard == ward)
            self._out.append(Folded(shard, hushed))

    def tick(self, now: Now, link_down_ns: int) -> None:
        """Let on what waited, and give every shard the time."""
        for where, item in self.pacing.release(now.awake_ns, self._at_once):
            self._out.append(Folded(where, item))
        ward = shard_of(WARD_KEY, self._n_shards)
        for shard in range(self._n_shards):
            self._out.append(Folded(shard, Tick(now.arrival_ns, now.awake_ns, link_down_ns, shard == ward)))
        for bad in self.refusals.tick(now.arrival_ns):
            self.row(bad)
