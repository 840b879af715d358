"""A disk that is really full while the flow runs, starts or stops: it waits for room and does not give up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from flows import Digests, digests, ended, eventually, growing, rows, started, undisturbed, ward, worked_off, write
from journals import small_disk
from outgoing import vitals
from wards import NO_HEALTH, NOWHERE, Process, start

from dataflows.flow import FlowOptions
from dataflows.holding import Holding, kept
from dataflows.keep import Keep
from dataflows.recovery import recovery_folder
from dataflows.store import Store, StoreError
from deploy import part
from deploy.options import FOUND_WRONG
from ingest.beacon import Beacon
from ingest.journal import Record

MB = 1 << 20
KEEP = Keep(short_bytes=16 * MB, stop_bytes=16 * MB)  # so that 2 MiB are kept for snapshots


class Ward:
    """A flow whose data folder lies on a disk of its own, and its journal on another."""

    def __init__(self, folder: Path, disk: Path, tape: list[Record]) -> None:
        self.tape, self._ballast, self.log = tape, disk / "ballast", folder / "flow.log"
        self.journal = folder / "journal"
        data, journals = str(disk / "data"), {"main": str(self.journal)}
        self.options = FlowOptions(data_dir=data, shards=4, journals=journals, snapshot_s=0.1, keep=KEEP)
        recovery = recovery_folder(data)
        self._holding = Holding(recovery, KEEP, Beacon(), lambda: False)
        self._disk = disk
        self.flows: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        self.flows.append(started(self.options, self.log))
        return self.flows[-1]

    def fill(self, *, leave: int = 0) -> None:
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while self._left() > leave:
                file.write(bytes(4096))

    def make_room(self) -> None:
        self._ballast.unlink()

    def holds(self, times: int = 1) -> bool:
        return self.log.exists() and self.log.read_text().count("no room for a snapshot") == times

    def run_short(self, flow: subprocess.Popen[str]) -> None:
        """Take the room for snapshots, and once the flow has noticed, all of it."""
        self.fill(leave=self._holding.reserve() - 64 * 1024)
        eventually(self.holds)
        self.fill()
        assert self._left() == 0
        assert flow.poll() is None

    def done(self) -> bool:
        return worked_off(self.options, len(self.tape))

    def _left(self) -> int:
        disk = os.statvfs(self._disk)
        return disk.f_bavail * disk.f_frsize


@pytest.fixture(scope="module")
def tape() -> list[Record]:
    return ward(3, 20.0)


@pytest.fixture(scope="module")
def alone(tape: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Digests:
    folder = tmp_path_factory.mktemp("alone")
    write(folder / "journal", tape)
    return undisturbed(folder / "journal", folder / "data")


@pytest.fixture
def place(tmp_path: Path, tape: list[Record]) -> Iterator[Ward]:
    with small_disk(tmp_path / "disk", 32) as disk:
        place = Ward(tmp_path, disk, tape)
        yield place
        for flow in place.flows:
            flow.kill()
            flow.communicate()


def test_a_flow_whose_disk_fills_up_waits_through_many_epochs_and_goes_on(place: Ward, alone: Digests) -> None:
    with growing({place.journal: place.tape}, 8.0) as whole:
        flow = place.start()
        eventually(lambda: rows(place.options) > 4)
        place.run_short(flow)
        eventually(whole.is_set)  # seconds, of which each had ten snapshots
    assert flow.poll() is None
    assert not place.done()
    place.make_room()
    eventually(place.done)
    flow.terminate()
    assert ended(flow) == 0
    assert digests(place.options) == alone


@pytest.mark.long
def test_a_flow_that_has_nothing_to_do_outlives_a_full_disk(place: Ward) -> None:
    write(place.journal, place.tape)
    flow = place.start()
    eventually(place.done)
    place.run_short(flow)
    with pytest.raises(subprocess.TimeoutExpired):  # epochs end by time, whatever comes
        flow.wait(timeout=20 * place.options.snapshot_s)
    place.make_room()
    eventually(lambda: "there is room for snapshots again" in place.log.read_text())
    flow.terminate()
    assert ended(flow) == 0


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_flow_that_is_stopped_on_a_full_disk_ends_well_and_one_that_is_started_there_waits(
    place: Ward, alone: Digests, workers: int
) -> None:
    place.options = msgspec.structs.replace(place.options, workers=workers)
    with growing({place.journal: place.tape}, 8.0) as whole:
        flow = place.start()
        eventually(lambda: rows(place.options) > 4)
        place.run_short(flow)
        flow.terminate()
        assert ended(flow) == 0
        again = place.start()
        eventually(lambda: place.holds(2))
        again.terminate()
        assert ended(again) == 0
        third = place.start()
        eventually(lambda: place.holds(3))
        eventually(whole.is_set)
    assert third.poll() is None
    place.make_room()
    eventually(place.done)
    third.terminate()
    assert ended(third) == 0
    assert digests(place.options) == alone


def test_a_part_that_finds_no_room_at_its_start_is_to_be_tried_again(place: Ward) -> None:
    data = Path(place.options.data_dir)
    data.mkdir()
    file = data.parent / "ward.toml"
    file.write_text(f'{NO_HEALTH}[ward]\ndata_dir = "data"\n[broker]\nurl = "{NOWHERE}"\n')
    place.fill()
    flows: list[Process] = []
    process = start(flows, "run", "--only", "ingest", "--config", file)
    _, said = process.communicate(timeout=60.0)
    assert (process.returncode, "has no room on the disk" in said) == (FOUND_WRONG, True), said


def test_no_room_is_told_from_a_folder_that_is_not_ours(place: Ward, tmp_path: Path) -> None:
    place.fill()
    full, strange = Path(place.options.data_dir), tmp_path / "strange"
    (strange / "store.sqlite-wal").mkdir(parents=True)  # where SQLite wants a file
    for folder, no_room in ((full, True), (strange, False)):
        with pytest.raises((StoreError, OSError)) as refusal:
            Store(folder / "store.sqlite")
        assert part._no_room(refusal.value, folder) is no_room


def test_stores_are_pruned_while_the_flow_waits_for_room_to_begin(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        store.put([vitals("p1", 100), vitals("p1", 10 * 86_400)])
    with kept([path, tmp_path / "not-yet.sqlite"], Keep(vitals_days=1.0)), Store(path, readonly=True) as reader:
        eventually(lambda: reader.count("vitals") == 1)
    assert not (tmp_path / "not-yet.sqlite").exists()
