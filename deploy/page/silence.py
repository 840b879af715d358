"""Which partitions are silent: of them nothing comes that would come from a flow that runs.

The clock's ticks are records of the journal, too. So a flow that runs gets on with its journal whatever its devices do,
and no alarm explains that it does not: up to where its snapshots have come, it has worked through what arrived. Where
that is not known, the newest values have to do; there an alarm may explain why none come, of its own partition alone.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.events import SECOND_NS, WARD
from dataflows.recovery import committed_offset
from deploy.live import Bed, Ward
from ingest.journal import JournalError, JournalReader

EXPLAINS: Final = frozenset({"lost-contact", "late-data", "ward-silent", "broker-lost"})  # why no values come
FEEL_EVERY_NS: Final = SECOND_NS
PATIENCE_S: Final = 12.0  # a device that is silent for 10 s is said to be lost, if there is a flow to say so
SNAPSHOTS: Final = 4  # that are late before a flow is taken for dead


class Room(NamedTuple):
    """A partition, as far as the page goes."""

    name: str
    folder: Path  # in the folder of all data
    snapshot_s: float = 3.0  # how often its flow says how far it has come

    @property
    def store(self) -> Path:
        """What the flow has found."""
        return self.folder / "store.sqlite"

    @property
    def door(self) -> Path:
        """Where commands are left."""
        return self.folder / "door"

    @property
    def patience_s(self) -> float:
        """Silence that is no news."""
        return max(PATIENCE_S, SNAPSHOTS * self.snapshot_s)


class Pulse:
    """How far the flow of a partition has come, as its recovery store and its journal say."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._felt_ns = 0
        self._offset = -1
        self._reached_ns: int | None = None

    def reached_ns(self, now_ns: int) -> int | None:
        """Arrival time of the newest record that it has worked through for good, as of this second; None: not known."""
        if abs(now_ns - self._felt_ns) < FEEL_EVERY_NS:
            return self._reached_ns
        self._felt_ns = now_ns
        offset = committed_offset(self._room.folder.parent, self._room.name)
        if offset is None or offset == self._offset:
            return self._reached_ns
        try:
            with JournalReader(self._room.folder / "journal") as reader:
                records = reader.read(max(offset - 1, reader.first_offset), 1)
        except (JournalError, OSError, sqlite3.Error):
            return self._reached_ns
        if records:
            self._offset, self._reached_ns = offset, records[0].arrival_ns
        return self._reached_ns


def newest_ns(wards: Iterable[Ward], now_ns: int) -> int | None:
    """Guess from its beds how far a flow has come; None: nobody is here, or nothing came yet."""
    newest: int | None = None
    for ward in wards:
        for bed in ward.beds.values():
            if _explained(bed):
                if bed.patient == WARD:
                    return now_ns
            elif bed.vitals:
                newest = max(newest or 0, (bed.vitals.second + 1) * SECOND_NS)
    return newest


def _explained(bed: Bed) -> bool:
    return any(alarm.condition in EXPLAINS for alarm in bed.alarms.values())
