"""How far the reading of a journal is ahead of the store: what lies between is memory.

A worker that reads and holds no key hands everything on to others, and is not slowed by them. So every shard says of
each tick that it has come through; reading waits while too many ticks have not. Records without ticks between them are
never waited for: ingest writes four a second.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

MOST_TICKS: Final = 128  # read, and not through all shards yet: half a minute of journal


class Mark(NamedTuple):
    """A shard has worked through a tick, and all before it."""

    arrival_ns: int  # of the tick
    shard: int = 0


class Headway:
    """Ticks of every partition of a process that are under way; told by the workers that read and those that store."""

    def __init__(self, n_shards: int) -> None:
        self._n_shards = n_shards
        self._read: dict[str, deque[int]] = {}
        self._through: dict[str, dict[int, int]] = {}  # arrival of the newest tick, by shard

    def took(self, partition: str, ticks_ns: Sequence[int]) -> None:
        """Take note of ticks that were read."""
        self._read.setdefault(partition, deque()).extend(ticks_ns)

    def through(self, partition: str, mark: Mark) -> None:
        """Take note of what has come through."""
        self._through.setdefault(partition, {})[mark.shard] = mark.arrival_ns

    def far(self, partition: str) -> bool:
        """Whether reading must wait."""
        read, through = self._read.get(partition, deque()), dict(self._through.get(partition, {}))
        last_ns = min(through.values()) if len(through) == self._n_shards else 0
        while read and read[0] <= last_ns:
            read.popleft()
        return len(read) > MOST_TICKS
