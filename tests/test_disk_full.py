"""A disk that is really full, a tiny one made for it: what is committed is carried, the rest waits, nothing is lost."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from carrying import Place, Recorder, carrying
from journals import small_disk
from outgoing import SECOND, alarm, vitals
from servers import eventually

from dataflows.couriers.cursors import Cursors
from dataflows.events import Row
from dataflows.sink import StorePartition
from dataflows.store import Store
from ingest.beacon import Beacon


class Disk:
    """Eight MiB, and what fills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        assert os.statvfs(self.folder).f_bavail == 0

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 8) as folder:
        yield Disk(folder)


def second(number: int) -> list[Row]:
    return [*(vitals(f"p{patient}", SECOND + number) for patient in range(40)), alarm(f"a{number}")]


def test_the_flow_waits_for_room_and_its_store_has_everything_once_afterwards(disk: Disk) -> None:
    store, beacon = Store(disk.folder / "store.sqlite"), Beacon()
    beacon.ready()
    sink = StorePartition(store, beacon=beacon)
    sink.write_batch(second(0))
    disk.fill()
    written = threading.Event()

    def write() -> None:
        for number in range(1, 100):
            sink.write_batch(second(number))
        written.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    eventually(lambda: "finds no room" in beacon.state().detail)
    assert beacon.state().alive
    assert not written.is_set()
    with Store(store.path, readonly=True) as reader:  # what is there can be read
        assert reader.alarms()
    disk.make_room()
    assert written.wait(60.0)
    writer.join()
    sink.close()
    with Store(store.path) as again:
        assert (again.count("vitals"), again.count("alarm")) == (100 * 40, 100)
        assert again.conflict_count() == 0
        assert again._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_alarms_that_are_committed_go_out_on_a_full_disk_and_none_comes_twice(disk: Disk) -> None:
    place, courier = Place(disk.folder), Recorder()
    place.put(alarm("a0"))
    with closing(Store(place.store)) as store, carrying(place, courier):
        courier.wait_for(1)
        store.put([alarm(f"a{number}") for number in range(1, 20)])
        disk.fill()
        assert courier.wait_for(20) == [f"a{number}/0" for number in range(20)]
        disk.make_room()
        store.put([alarm("b1")])
        assert courier.wait_for(21)[-1] == "b1/0"
        eventually(lambda: place.settled() == 21)
    with carrying(place, again := Recorder()):
        place.put(alarm("b2"))
        assert again.wait_for(1) == ["b2/0"]


def test_couriers_that_start_on_a_full_disk_carry_what_is_left_and_remember_it_later(disk: Disk) -> None:
    place, courier = Place(disk.folder), Recorder()
    place.put(alarm("a0"), alarm("a1"))
    with carrying(place, courier):
        courier.wait_for(2)
    store = Store(place.store)
    store.put([alarm("a2"), alarm("a3")])
    disk.fill()
    with carrying(place, later := Recorder()):
        assert later.wait_for(2) == ["a2/0", "a3/0"]
        disk.make_room()
        eventually(lambda: place.settled() == 4)
    store.close()
    with closing(Cursors(place.cursors)) as cursors:
        assert cursors.settled("recorder") == 4
