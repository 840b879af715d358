"""Upkeep: retention by need, age and size; a disk that runs short; finished segments packed beside the writer."""

from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from journals import everything
from servers import eventually

from ingest import removal, retention, upkeep
from ingest.inbox import Inbox
from ingest.journal import Journal, RecordKind
from ingest.notices import Removed, Report
from ingest.pack import pack_segment
from ingest.room import Room, Stage
from ingest.segments import remove_segment, segment_path, segments
from ingest.upkeep import Upkeep

SECOND_NS = 10**9
MB = 1 << 20


class Narrow(Room):
    """A room of which the test says how much is left."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, short_bytes=8 * MB, stop_bytes=MB)
        self.now = 100 * MB

    def left(self) -> int:
        """What the test says."""
        return self.now


class House:
    """A journal with its upkeep, by hand: one record a second, five to a segment."""

    def __init__(self, path: Path, *, floor_s: int = 0, retain_from: Callable[[], int | None] | None = None) -> None:
        seconds = count(SECOND_NS, SECOND_NS)
        self.journal = Journal(
            path / "journal",
            segment_bytes=600,
            retain_bytes=1 << 40,
            retain_ns=30 * SECOND_NS,
            floor_ns=floor_s * SECOND_NS,
            retain_from=retain_from,
            prunes=False,
            now_ns=lambda: next(seconds),
        )
        self.room = Narrow(path)
        self.inbox = Inbox(100, 1 << 20, 100, 0.0)
        self.upkeep = Upkeep(self.journal, self.room, self.inbox)

    def write(self, number: int) -> None:
        for _ in range(number):
            self.journal.append([(RecordKind.MESSAGE, "t", bytes(100))])

    def said(self) -> list[Report]:
        return [msgspec.json.decode(arrival.payload, type=Report) for arrival in self.inbox.take(0.0)]

    def look(self, left_mb: float) -> list[Report]:
        self.room.now = int(left_mb * MB)
        self.upkeep.look()
        return self.said()

    @property
    def oldest(self) -> int:
        return segments(self.journal.path)[0]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.journal.close()


def test_each_stage_is_said_once_with_what_to_do(house: House) -> None:
    house.write(2)
    told = [house.look(left) for left in (100, 100, 7, 7.5, 3, 1.5, 0.5, 0.5, 1.01, 9.5)]
    assert [[(report.reporter, report.ok) for report in reports] for reports in told] == [
        [("disk", True)],
        [],
        [("disk", False)],
        [],
        [("disk", False)],
        [("disk", False)],
        [("disk", False)],
        [],
        [],  # no flutter: an eighth more than the bound is needed to go back
        [("disk", True)],
    ]
    words = [reports[0].detail for reports in told if reports]
    assert "the raw journal shrinks to what the flow still needs; make room on the disk" in words[1]
    assert "nothing is taken in or acknowledged" in words[4]
    assert "alarms already raised still go out" in words[4]


def test_with_room_old_records_go_without_a_report(house: House) -> None:
    house.write(60)
    assert [report.removed for report in house.look(100)] == [None]
    # The newest record has second 60; what ends 30 s before goes.
    assert house.oldest == 25
    assert house.look(100) == []


def test_without_room_the_journal_shrinks_below_its_floor_and_says_what_went(tmp_path: Path) -> None:
    house = House(tmp_path, floor_s=10**6)
    house.write(60)
    house.look(100)
    assert house.oldest == 0
    stage, report = house.look(7)
    assert stage.removed is None
    assert report.ok is False
    assert report.removed is not None
    assert report.removed == Removed("journal", 0, house.oldest, report.removed.size, "no room", "journal/0-55")
    # It frees what is missing to an eighth more than 8 MB, and no more than there is.
    assert house.oldest == segments(house.journal.path)[-1]
    assert "records 0 to 54 of the raw journal" in report.detail
    house.journal.close()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["before it", "first", "second", "telling", "first, no room", "emptying, no room"])
def test_a_removal_that_a_crash_cuts_short_is_carried_out_and_told_once_under_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    at, _, no_room = at.partition(", ")
    house = House(tmp_path, floor_s=10**6)
    house.write(60)
    house.look(100)
    removed = count()

    def remove(path: Path, first: int) -> None:
        if next(removed) == {"first": 0, "second": 1}.get(at, -1):
            raise Killed
        remove_segment(path, first)

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(retention, "remove_segment", remove)
        patch.setattr(removal, "remove_segment", remove)
        if at == "before it":
            patch.setattr(removal, "mark", kill)
        if no_room:
            patch.setattr(Path, "touch", lambda _: (_ for _ in ()).throw(OSError(28, "no space left on device")))
        if at == "emptying":
            patch.setattr("ingest.removal.os.truncate", kill)
        elif at == "telling":
            patch.setattr(Upkeep, "_tell_removals", kill)
        with pytest.raises(Killed):
            house.look(7)
    marked = list(house.journal.path.glob("*.gone"))
    house.journal.close()
    again = House(tmp_path, floor_s=10**6)
    reports = again.look(7)
    ids = [report.removed.id for report in reports if report.removed]
    assert ids == ["journal/0-55"]
    assert again.oldest == 55
    assert reports[0].removed or not marked  # what went comes before how things are now
    assert [mark.stat().st_size for mark in again.journal.path.glob("*.gone")] == [0]
    assert [report.removed for report in again.look(7)] == []  # its mark stands until it is in the journal
    again.journal.close()


def test_a_segment_that_was_removed_is_whole_for_whoever_keeps_it_under_another_name(tmp_path: Path) -> None:
    house = House(tmp_path, floor_s=10**6)
    house.write(60)
    house.look(100)
    oldest = segment_path(house.journal.path, 0)
    (kept := tmp_path / "kept").hardlink_to(oldest)
    size = kept.stat().st_size
    assert [report.removed is not None for report in house.look(7)] == [False, True]
    assert not oldest.exists()
    assert kept.stat().st_size == size
    house.journal.close()


def test_no_more_goes_than_room_is_missing(tmp_path: Path) -> None:
    house = House(tmp_path, floor_s=10**6)
    house.write(60)
    missing = 100_000
    house.room.now = 9 * MB - missing
    house.upkeep.stage = Stage.SHORT
    house.upkeep.look()
    removed = [report.removed for report in house.said() if report.removed]
    assert len(removed) == 1
    assert missing <= removed[0].size < missing + 100_000
    assert house.oldest > 0
    house.journal.close()


@pytest.mark.parametrize(("needed", "oldest"), [(None, 0), (0, 0), (21, 20), (10**6, 55)])
def test_not_even_a_full_disk_takes_what_the_flow_needs(tmp_path: Path, needed: int | None, oldest: int) -> None:
    house = House(tmp_path, retain_from=lambda: needed)
    house.write(60)
    house.look(0.5)
    assert house.oldest == oldest
    house.journal.close()


def test_a_damaged_segment_stays_until_its_room_is_needed_and_stops_nothing(house: House) -> None:
    house.write(60)
    segment_path(house.journal.path, 0).write_bytes(b"rubbish " * 1000)
    house.look(100)
    assert house.oldest == 0
    house.look(7)
    assert house.oldest == 55


def test_finished_segments_are_packed_beside_the_writer_and_nothing_else_changes(house: House) -> None:
    house.write(30)
    before = everything(house.journal.path)
    house.upkeep.start()
    eventually(lambda: segments(house.journal.path, packed=False) == [house.journal.first])
    house.upkeep.stop(10.0)
    assert not house.upkeep.is_alive()
    assert everything(house.journal.path) == before


def test_nothing_is_packed_on_a_full_disk_nor_where_it_is_not_wanted(tmp_path: Path) -> None:
    house = House(tmp_path, retain_from=lambda: None)
    house.write(30)
    house.room.now = 0
    house.upkeep.start()
    eventually(lambda: house.upkeep.full)
    house.upkeep.stop(10.0)
    plain = Upkeep(house.journal, house.room, house.inbox, compress=False)
    house.room.now = 100 * MB
    plain.start()
    eventually(lambda: plain.left)
    plain.stop(10.0)
    assert segments(house.journal.path, packed=False) == segments(house.journal.path)
    house.journal.close()


def test_a_segment_removed_while_it_is_being_packed_does_not_come_back(tmp_path: Path) -> None:
    house = House(tmp_path, floor_s=10**6)
    house.write(30)
    house.look(100)
    while house.upkeep._packing is None:
        house.upkeep._pack()
    house.look(7)
    assert house.upkeep._packing is None
    assert len(segments(house.journal.path)) == 1
    assert not list(house.journal.path.glob("*.pack.tmp"))
    house.journal.close()


def test_an_upkeep_that_fails_says_so_in_the_log_and_goes_on(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_S", 0.01)
    answers: list[Exception] = [OSError("the disk is gone"), OSError("the disk is gone")]

    def left() -> int:
        if answers:
            raise answers.pop()
        return 100 * MB

    house.room.left = left  # type: ignore[method-assign]  # a disk that fails twice
    house.upkeep.start()
    eventually(lambda: house.upkeep.left)
    house.upkeep.stop(10.0)
    assert caplog.text.count("upkeep of the journal: the disk is gone") == 1


def test_a_segment_that_cannot_be_packed_stays_raw_is_reported_and_the_others_are_packed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write(30)
    before = everything(house.journal.path)

    def packs(path: Path, first: int, end: int) -> Generator[None, None, None]:
        yield
        if first == 5:
            raise ValueError("a record came that no group takes")
        yield from pack_segment(path, first, end)

    monkeypatch.setattr(upkeep, "pack_segment", packs)
    house.upkeep.start()
    raw = [5, house.journal.first]
    eventually(lambda: segments(house.journal.path, packed=False) == raw or not house.upkeep.is_alive())
    assert house.upkeep.is_alive()
    house.upkeep.stop(10.0)
    assert segments(house.journal.path, packed=False) == raw
    assert everything(house.journal.path) == before
    said = [report for report in house.said() if report.reporter == "pack"]
    assert [report.ok for report in said] == [False, True]
    assert "cannot be packed (ValueError: a record came that no group takes): it stays raw" in said[0].detail
