"""Waking time: arrival time less all the time during which ingest was down or cut off from the broker."""

from typing import NamedTuple

import msgspec

AWAY_KEPT = 8  # times away that are remembered, to name the cause of what was lost


class Now(NamedTuple):
    """The time of a record, and when packets could not come."""

    arrival_ns: int
    awake_ns: int
    away: tuple[tuple[int, int], ...]  # from, to: when ingest or the broker was away lately, in times of arrival
    set_ns: int = 0  # by how much arrival time was ever set ahead

    @property
    def asleep_ns(self) -> int:
        """All the time during which ingest was down or cut off from the broker."""
        return self.arrival_ns - self.awake_ns


class Waking(msgspec.Struct, array_like=True):
    """What is known of the times away."""

    asleep_ns: int = 0
    link_down_ns: int = 0  # since when the broker is out of reach; 0: it is not
    blind_down_ns: int = 0  # how much of the time since then ingest itself was down
    away: tuple[tuple[int, int], ...] = ()
    set_ns: int = 0

    def now(self, arrival_ns: int) -> Now:
        """Place a record in time."""
        return Now(arrival_ns, (self.link_down_ns or arrival_ns) - self.asleep_ns, self.away, self.set_ns)

    @property
    def down_ns(self) -> int:
        """Since when the broker is known to be out of reach: not while nobody looked; 0: it is not."""
        return self.link_down_ns + self.blind_down_ns if self.link_down_ns else 0

    def blind(self, arrival_ns: int, blind_ns: int, set_ns: int = 0) -> None:
        """Until this record ingest saw nothing for a time, which may be none: the clock was set ahead by `set_ns`.

        Asleep counts once, though it was cut off as well.
        """
        self.set_ns += set_ns
        cut_off_ns = arrival_ns - self.link_down_ns if self.link_down_ns else 0
        both_ns = min(blind_ns, cut_off_ns)
        self.asleep_ns += blind_ns - both_ns
        self.blind_down_ns += both_ns
        self._was_away(arrival_ns - blind_ns, arrival_ns)

    def link(self, arrival_ns: int, *, up: bool) -> None:
        """The connection to the broker came or went."""
        if up and self.link_down_ns:
            self.asleep_ns += arrival_ns - self.link_down_ns
            self._was_away(self.link_down_ns, arrival_ns)
            self.link_down_ns = self.blind_down_ns = 0
        elif not up:
            self.link_down_ns = self.link_down_ns or arrival_ns

    def _was_away(self, start_ns: int, end_ns: int) -> None:
        self.away = (*self.away[1 - AWAY_KEPT :], (start_ns, end_ns))
