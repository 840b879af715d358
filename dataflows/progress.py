"""How far the flow is behind its journals: in the log once a second, in the metrics, and for who asks if it is ready.

A figure about the run, not a result of it: nothing that is computed depends on the clocks here.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataflows.metrics import BEHIND, CATCHING_UP, RECORDS
from ingest.beacon import Beacon
from ingest.door import DoorFullError, report
from ingest.journal import JournalReader
from ingest.source import Reading

BEHIND_S: Final = 2.0  # from here on the flow is behind
TELL_S: Final = 1.0
NS: Final = 10**9

log = logging.getLogger(__name__)


@dataclass
class _Stretch:
    """One partition, since it fell behind."""

    began_s: float  # monotonic
    first: int  # offset
    first_ns: int  # arrival time of its record
    told_s: float
    behind_s: float = 0.0


class Progress:
    """Observer of the journals of one process.

    Parameters
    ----------
    journals
        Folder of the journal of each partition that is read here.
    beacon
        Beats with every look into a journal; ready once all journals are read to their end, or nearly so.
    tell
        Takes the lines about how far it is.
    whole
        Count to the end of the journals and call nothing behind: a replay.
    now_ns, monotonic_s
        Clocks.
    """

    def __init__(
        self,
        journals: Mapping[str, Path],
        beacon: Beacon | None = None,
        tell: Callable[[str], None] = log.info,
        *,
        whole: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journals = dict(journals)
        self.beacon, self._tell, self._whole = beacon or Beacon(), tell, whole
        self._now_ns, self._monotonic_s = now_ns, monotonic_s
        self._behind: dict[str, _Stretch] = {}
        self._waiting = set(journals)  # not looked into yet

    def on_read(self, partition: str, reading: Reading) -> None:
        """Take note of what was read."""
        RECORDS.inc(reading.records)
        self.beacon.beat()
        self._waiting.discard(partition)
        lag_s = 0.0 if reading.at_end else max((self._now_ns() - reading.newest_ns) / NS, 0.0)
        if lag_s < BEHIND_S:
            self._caught_up(partition)
        else:
            self._catching_up(partition, reading, lag_s)
        BEHIND.set(max((stretch.behind_s for stretch in self._behind.values()), default=0.0))
        CATCHING_UP.set(bool(self._behind))

    def on_lost(self, partition: str, first: int, end: int) -> None:
        """Leave word for the ward that records were removed unread: a fault that is over at once, and on record."""
        said = f"records {first} to {end - 1} of the journal were removed before the flow had worked them through"
        door = self._journals[partition].parent / "door"
        try:
            report(door, "flow", ok=False, detail=said)
            report(door, "flow", ok=True, detail="goes on after what was removed")
        except (OSError, DoorFullError) as error:
            log.warning("the ward cannot be told that records were removed (%s): %s", error, said)

    def _caught_up(self, partition: str) -> None:
        stretch = self._behind.pop(partition, None)
        if stretch is not None and not self._whole:
            log.info("partition %s caught up in %.1f s", partition, self._monotonic_s() - stretch.began_s)
        if not self._behind and not self._waiting:
            self.beacon.ready()

    def _catching_up(self, partition: str, reading: Reading, lag_s: float) -> None:
        now_s = self._monotonic_s()
        stretch = self._behind.get(partition)
        if stretch is None:
            first = reading.offset - reading.records
            stretch = self._behind[partition] = _Stretch(now_s, first, reading.oldest_ns, now_s - TELL_S)
        stretch.behind_s = lag_s
        if now_s - stretch.told_s < TELL_S:
            return
        stretch.told_s = now_s
        with JournalReader(self._journals[partition]) as reader:
            end = reader.end_offset
        line = f"{'' if self._whole else 'catching up: '}{_how_far(stretch, reading, end, now_s)}"
        self.beacon.not_ready(line)
        self._tell(line if len(self._journals) == 1 else f"partition {partition}: {line}")


def _how_far(stretch: _Stretch, reading: Reading, end: int, now_s: float) -> str:
    done, whole = reading.offset - reading.records - stretch.first, end - stretch.first
    said = f"{done:,} of {whole:,} records"
    took_s = now_s - stretch.began_s
    if took_s <= 0.0 or done <= 0:
        return said
    times = (reading.oldest_ns - stretch.first_ns) / NS / took_s
    return f"{said}, {times:.0f} x real time, {(whole - done) * took_s / done:.0f} s left"
