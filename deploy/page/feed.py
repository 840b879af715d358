"""The wards of all partitions on this host, folded from their stores, and what of them has changed since when.

Who shows them keeps a version and asks for what is new since: whoever is slow gets fewer, newer pictures, and nothing
waits for anybody in a queue.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.events import SECOND_NS, AlarmEvent, Answer, PatientInfo, Row, Vitals, Wave
from dataflows.store import StoreError
from deploy.live import Bed, Ward
from deploy.page.messages import Second, Silent, Tile
from deploy.page.silence import Pulse, Room, newest_ns
from deploy.page.tiles import second, tile
from deploy.watcher import Watcher

FORGET: Final = 10_000  # beds that are gone, of which nobody has to be told any more
NS_MS: Final = 1_000_000


class Found(NamedTuple):
    """What a look into one store has found."""

    room: Room
    rows: list[Row]
    reached_ns: int | None  # how far its flow has come; None: not known
    trouble: str


class Known(NamedTuple):
    """An alarm, and the door behind which its flow is."""

    door: Path
    event: AlarmEvent


@dataclass
class Feed:
    """Everything that the pages show.

    `look` may run in a thread; all else belongs to the event loop.

    Parameters
    ----------
    rooms
        The partitions.
    now_ns
        Clock by which they are silent.
    """

    rooms: Sequence[Room]
    now_ns: Callable[[], int] = time.time_ns
    version: int = 0
    trouble: str = ""
    silent: tuple[Silent, ...] = ()
    _wards: dict[str, Ward] = field(default_factory=dict)  # by partition/site: a patient's name is unique within one
    _doors: dict[str, Path] = field(default_factory=dict)
    _changed: dict[str, int] = field(default_factory=dict)  # version of each bed's newest change, oldest first
    _gone: dict[str, int] = field(default_factory=dict)
    _tiles: dict[str, Tile] = field(default_factory=dict)  # made once for all who look
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Watch the store of each partition."""
        self._watchers = [(room, Watcher(room.store, whole=False), Pulse(room)) for room in self.rooms]

    def look(self) -> list[Found]:
        """Read what is new in the stores, and how far the flows have come."""
        now_ns = self.now_ns()
        return [_look(room, watcher, pulse.reached_ns(now_ns)) for room, watcher, pulse in self._watchers]

    def take(self, found: Sequence[Found]) -> list[Answer]:
        """Fold in what was found; return what the flows have answered."""
        trouble = "; ".join(one.trouble for one in found if one.trouble)
        if not any(one.rows for one in found) and (trouble, self._silence(found)) == (self.trouble, self.silent):
            return []
        self.version += 1
        self.trouble = trouble
        answers: list[Answer] = []
        for room, rows, *_ in found:
            by_site: dict[str, list[Row]] = {}
            for row in rows:
                by_site.setdefault(row.site, []).append(row)
            for site, its in by_site.items():
                self._fold(room, site, its)
            answers += [row for row in rows if isinstance(row, Answer)]
        self.silent = self._silence(found)
        self._news.set()
        self._news = asyncio.Event()
        return answers

    async def changed(self, since: int, within_s: float) -> None:
        """Return when something is newer than version `since`, or after a while."""
        if self.version == since:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), within_s)

    def tiles(self, since: int = 0) -> tuple[Tile, ...]:
        """Beds that have changed after version `since`."""
        return tuple(self._tile(key) for key, version in _newer(self._changed, since))

    def gone(self, since: int) -> tuple[str, ...]:
        """Beds that are there no more, after version `since`."""
        return tuple(key for key, _ in _newer(self._gone, since))

    def seconds(self, key: str, after: int) -> tuple[Second, ...]:
        """Seconds of a patient's waveform after unix time `after`, as far as they are kept, oldest first."""
        bed = self._bed(key)
        kept = bed.seconds if bed else ()
        return tuple(second(key, wave) for wave in sorted(kept, key=lambda wave: wave.second) if wave.second > after)

    def known(self, key: str, alarm: str) -> Known | None:
        """Alarm of a bed, if it stands or is over of late."""
        bed = self._bed(key)
        event = bed and (bed.alarms.get(alarm) or bed.over.get(alarm))
        return Known(self._doors[_ward_of(key)], event) if event else None

    def _fold(self, room: Room, site: str, rows: list[Row]) -> None:
        name = f"{room.name}/{site}"
        self._doors[name] = room.door
        ward = self._wards.setdefault(name, Ward())
        ward.take(rows)
        for patient in {row.patient for row in rows if isinstance(row, (Vitals, Wave, AlarmEvent, PatientInfo))}:
            self._note(f"{name}/{patient}", patient in ward.beds)

    def _silence(self, found: Sequence[Found]) -> tuple[Silent, ...]:
        """Say which partitions are silent; those whose store says by itself that something is wrong are not."""
        now_ns = self.now_ns()
        silent = []
        for room, _, reached_ns, trouble in found:
            its = (ward for name, ward in self._wards.items() if name.partition("/")[0] == room.name)
            at_ns = newest_ns(its, now_ns) if reached_ns is None else reached_ns
            if not trouble and at_ns is not None and now_ns - at_ns > room.patience_s * SECOND_NS:
                silent.append(Silent(room.name, at_ns // NS_MS))
        return tuple(silent)

    def _note(self, key: str, here: bool) -> None:  # noqa: FBT001 - the two cases of one thing
        self._tiles.pop(key, None)
        known = self._changed.pop(key, None) is not None
        if here:
            self._gone.pop(key, None)
            self._changed[key] = self.version
        elif known:
            self._gone[key] = self.version
            if len(self._gone) > FORGET:
                del self._gone[next(iter(self._gone))]

    def _tile(self, key: str) -> Tile:
        if key not in self._tiles:
            bed = self._bed(key)
            self._tiles[key] = tile(key, bed or Bed(_patient_of(key)))
        return self._tiles[key]

    def _bed(self, key: str) -> Bed | None:
        ward = self._wards.get(_ward_of(key))
        return ward.beds.get(_patient_of(key)) if ward else None


def _look(room: Room, watcher: Watcher, reached_ns: int | None) -> Found:
    try:
        if not watcher.open():
            return Found(
                room, [], reached_ns, f"no store yet in {room.store.parent.name}: the flow makes it when it starts"
            )
        return Found(room, watcher.rows(), reached_ns, "")
    except (StoreError, sqlite3.Error) as error:
        watcher.close()
        return Found(room, [], reached_ns, f"the store of {room.name} cannot be read: {error}")


def _newer(versions: dict[str, int], since: int) -> Iterator[tuple[str, int]]:
    """Entries after a version, newest first; the dictionary is in the order of its versions."""
    for key in reversed(versions):
        if versions[key] <= since:
            return
        yield key, versions[key]


def _ward_of(key: str) -> str:
    return key.rpartition("/")[0]


def _patient_of(key: str) -> str:
    return key.rpartition("/")[2]
