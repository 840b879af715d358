"""A store with its keeper for tests, on a disk that has as much room as a test says."""

from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm

from dataflows.couriers.cursors import Cursors
from dataflows.events import Bad, Row
from dataflows.keep import Keep
from dataflows.keeper import Keeper
from dataflows.store import Store
from ingest.door import Door
from ingest.notices import Report

TIGHT, DIRE = (1 << 30) - 1, (1 << 29) - 1  # room left (bytes)
NOW = SECOND  # the newest time that rows tell
SMALL = Keep(vitals_days=2.0, wave_hours=2.0, bad_days=1.0, record_days=3.0)


def bad(offset: int, second: int = NOW, topic: str = "femtoward/v1/north/w1/data", count: int = 1) -> Bad:
    return Bad("north", offset, 0, second * NS, topic, "undecodable", "cut short", 12, count)


def alarm_at(id_: str, step: int, state: str, second: int) -> Row:
    return replace(alarm(id_, step), state=state, arrival_ns=second * NS)


class Ward:
    """A store with a keeper beside it, whose disk has as much room as a test says."""

    def __init__(self, folder: Path, keep: Keep = SMALL) -> None:
        self.store = Store(folder / "store.sqlite")
        self.door = Door(folder / "door")
        self.cursors = folder / "couriers.sqlite"
        self.keeper = Keeper(self.store, keep, lambda: NOW * NS)

    def settle(self, courier: str, kinds: tuple[str, ...], up_to: int, seen_s: int = NOW) -> None:
        with closing(Cursors(self.cursors)) as cursors:
            cursors.see(courier, kinds, seen_s * NS)
            cursors.settle(courier, (), up_to, (), 0)

    def keys(self, *kinds: str) -> list[str]:
        return [stored.row.key for stored in self.store.read(0, 100_000, kinds)]

    def rounds(self, count: int = 3) -> None:
        for _ in range(count):
            self.keeper.round()

    def reports(self) -> list[Report]:
        letters = self.door.take(1000)
        self.door.done(letters)
        return [msgspec.json.decode(letter.payload, type=Report) for letter in letters]
