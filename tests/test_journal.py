"""The journal: nothing committed is lost, nothing is out of order, whatever happens to its writer."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.arrival import Standing
from ingest.journal import (
    Journal,
    JournalBusyError,
    JournalError,
    JournalPrunedError,
    JournalReader,
    NotAJournalError,
    Record,
    RecordKind,
)
from ingest.notices import Blind
from ingest.retention import Limits
from ingest.segments import LOCK, MARKER, segment_path, segments

ROOT = Path(__file__).parents[1]
SECOND_NS = 10**9
TICK = (RecordKind.TICK, "", b"")


def message(number: int, size: int = 8) -> tuple[RecordKind, str, bytes]:
    return RecordKind.MESSAGE, "femtoward/v1/s/d/data", number.to_bytes(4, "big") * (size // 4)


def everything(path: Path, limit: int = 1000) -> list[Record]:
    with JournalReader(path) as reader:
        found: list[Record] = []
        while records := reader.read(reader.first_offset + len(found), limit):
            found += records
        return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "main" / "journal"


def filled(path: Path, count: int, retain_bytes: int = 1 << 40, retain_ns: int = 10**18) -> Journal:
    """Journal of `count` messages of 100 bytes, one second apart, four to a segment."""
    clock = iter(range(SECOND_NS, 10**6 * SECOND_NS, SECOND_NS))
    journal = Journal(
        path, segment_bytes=600, retain_bytes=retain_bytes, retain_ns=retain_ns, now_ns=lambda: next(clock)
    )
    for number in range(count):
        journal.append([message(number, 100)])
    return journal


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=12),
    clock=st.lists(st.integers(0, 100), min_size=12, max_size=12),
    limit=st.integers(1, 9),
    segment_bytes=st.integers(1, 400),
)
def test_what_was_appended_is_read_in_order_whatever_the_grouping_and_the_clock(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], clock: list[int], limit: int, segment_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("journal")
    moments = iter(clock)
    with Journal(path, segment_bytes=segment_bytes, now_ns=lambda: next(moments)) as journal:
        for size in sizes:
            first = journal.next_offset
            items = [message(number) for number in range(first, first + size)]
            assert journal.append(items) == range(first, first + size)
        records = everything(path, limit)
    shutil.rmtree(path)
    assert [record.offset for record in records] == list(range(sum(sizes)))
    assert [record[2:] for record in records] == [message(number) for number in range(sum(sizes))]
    assert all(one.arrival_ns < two.arrival_ns for one, two in pairwise(records))


def test_a_reader_follows_the_writer_from_segment_to_segment(path: Path) -> None:
    reader = JournalReader(path)
    assert (reader.read(0, 10), reader.first_offset, reader.end_offset) == ([], 0, 0)
    with Journal(path, segment_bytes=300) as journal:
        for number in range(40):
            assert reader.read(number, 10) == []
            journal.append([message(number, 100)])
            assert [record.offset for record in reader.read(number, 10)] == [number]
        assert reader.end_offset == journal.next_offset == 40
    assert len(segments(path)) > 10
    reader.close()


def test_a_reader_ahead_of_the_end_waits_for_its_offset(path: Path) -> None:
    with filled(path, 4) as journal, JournalReader(path) as reader:
        assert reader.read(9, 10) == []
        for number in range(4, 12):
            journal.append([message(number, 100)])
        assert [record.offset for record in reader.read(9, 10)] == [9, 10, 11]


def test_retention_by_size_removes_the_oldest_segments_and_never_the_newest(path: Path) -> None:
    with filled(path, 41, retain_bytes=1) as journal:
        # At the rotation the newest held no record yet, and the one before it had the last time.
        assert segments(path) == [36, 40]
        assert journal.prune().segments == 1
        assert [record.offset for record in everything(path)] == [40]
        assert journal.prune().segments == 0
        assert journal.append([message(41)]) == range(41, 42)


def test_retention_by_age_removes_what_is_older(path: Path) -> None:
    with filled(path, 41, retain_ns=10 * SECOND_NS):
        # The newest record has second 41; record 31 has second 32: segments that end before it go at a rotation.
        assert segments(path)[0] == 28


def test_retention_leaves_what_is_still_needed(path: Path) -> None:
    needed = 21
    clock = iter(range(SECOND_NS, 10**6 * SECOND_NS, SECOND_NS))
    with Journal(path, segment_bytes=600, retain_bytes=1, retain_from=lambda: needed, now_ns=lambda: next(clock)) as j:
        for number in range(41):
            j.append([message(number, 100)])
        assert everything(path)[0].offset == 20
        needed = 30
        assert j.prune()[:3] == (2, 20, 28)
        assert everything(path)[0].offset == 28


def test_a_pruned_offset_is_refused_and_the_first_left_is_named(path: Path) -> None:
    with filled(path, 41, retain_bytes=1), JournalReader(path) as reader:
        with pytest.raises(JournalPrunedError, match=r"no longer holds offset 3.*before offset 36") as refusal:
            reader.read(3, 10)
        assert refusal.value.first_offset == 36


def test_a_reader_overtaken_by_retention_is_told_and_not_left_waiting(path: Path) -> None:
    with filled(path, 40) as journal, JournalReader(path) as reader:
        assert len(reader.read(0, 2)) == 2
        journal.limits = Limits(1, 1)
        journal.prune()
        with pytest.raises(JournalPrunedError):
            reader.read(2, 10)


def test_the_first_tick_after_opening_says_how_long_ingest_was_blind(path: Path) -> None:
    now = 5 * SECOND_NS
    with Journal(path, now_ns=lambda: now) as journal:
        journal.append([TICK, message(1), TICK])
    now = 65 * SECOND_NS
    with Journal(path, now_ns=lambda: now) as journal:
        journal.append([message(2)])
        journal.append([message(3), TICK])
        journal.append([TICK])
    ticks = [record for record in everything(path) if record.kind == RecordKind.TICK]
    assert [tick.payload for tick in ticks[:2] + ticks[3:]] == [b"", b"", b""]
    assert msgspec.json.decode(ticks[2].payload, type=Blind).blind_ns == 60 * SECOND_NS - 2  # arrivals were 1 ns apart


def test_a_stalled_writer_says_so_with_its_next_tick(path: Path) -> None:
    now = SECOND_NS
    with Journal(path, now_ns=lambda: now) as journal:
        journal.append([TICK])
        now += 3 * SECOND_NS
        journal.append([message(1)])
        now += 3 * SECOND_NS
        journal.append([TICK, TICK])
    assert [
        msgspec.json.decode(tick.payload or b"{}", type=Blind).blind_ns for tick in everything(path) if tick.kind
    ] == [
        0,
        6 * SECOND_NS,
        0,
    ]


class Host:
    """A host whose clock somebody sets."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = 10**6 * SECOND_NS, 5 * SECOND_NS

    def goes_on(self, by_ns: int) -> None:
        self.wall_ns += by_ns
        self.monotonic_ns += by_ns


def ticking(path: Path, host: Host) -> Journal:
    return Journal(path, now_ns=lambda: host.wall_ns, monotonic_ns=lambda: host.monotonic_ns)


def test_a_leap_of_the_hosts_clock_that_stands_is_blind_time_that_never_was(path: Path) -> None:
    host = Host()
    with ticking(path, host) as journal:
        journal.append([TICK])
        host.wall_ns += 86_400 * SECOND_NS
        for _ in range(325):
            host.goes_on(SECOND_NS)
            journal.append([TICK])
    ticks = everything(path)
    (told,) = [tick for tick in ticks if tick.payload]
    blind = msgspec.json.decode(told.payload, type=Blind)
    assert blind.set_ns == pytest.approx(86_400 * SECOND_NS, abs=SECOND_NS)
    assert blind.blind_ns - blind.set_ns <= SECOND_NS + SECOND_NS // 2000
    # All the time that the ticks show is either real or said to be blind.
    assert ticks[-1].arrival_ns - ticks[0].arrival_ns - blind.set_ns == pytest.approx(325 * SECOND_NS, abs=SECOND_NS)


def test_ticks_go_on_at_their_pace_after_the_hosts_clock_was_set_back_a_day(path: Path) -> None:
    host = Host()
    with ticking(path, host) as journal:
        journal.append([TICK])
        host.wall_ns -= 86_400 * SECOND_NS
        for _ in range(40):
            host.goes_on(SECOND_NS // 4)
            journal.append([TICK])
    ticks = everything(path)
    assert ticks[-1].arrival_ns - ticks[0].arrival_ns == 10 * SECOND_NS - 10 * SECOND_NS // 2000
    assert not any(tick.payload for tick in ticks)
    with ticking(path, host) as journal:
        journal.append([TICK])
        host.goes_on(SECOND_NS)
        journal.append([TICK])
        assert journal.reading.standing is Standing.BEHIND
    one, two = everything(path)[-2:]
    assert two.arrival_ns - one.arrival_ns == SECOND_NS - SECOND_NS // 2000


def test_an_append_that_fails_leaves_the_clock_to_be_told_by_the_next(path: Path) -> None:
    host = Host()
    with ticking(path, host) as journal:
        journal.append([TICK])
        host.wall_ns += 3600 * SECOND_NS
        host.goes_on(SECOND_NS)
        journal.append([TICK])
        host.goes_on(301 * SECOND_NS)
        journal._connection.execute("PRAGMA query_only=1")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            journal.append([TICK])
        journal._connection.execute("PRAGMA query_only=0")
        journal.append([TICK])
    blind = msgspec.json.decode(everything(path)[-1].payload, type=Blind)
    assert blind.set_ns == pytest.approx(3600 * SECOND_NS, abs=SECOND_NS)


@pytest.mark.parametrize("what_is_left", [b"", "table"])
def test_a_torn_rotation_goes_on_at_the_next_offset(path: Path, what_is_left: bytes | str) -> None:
    filled(path, 4).close()
    torn = segment_path(path, 4)
    if isinstance(what_is_left, bytes):
        torn.write_bytes(what_is_left)
    else:
        sqlite3.connect(torn).execute("PRAGMA journal_mode=WAL").connection.close()
    with JournalReader(path) as reader:
        assert [record.offset for record in reader.read(2, 10)] == [2, 3]
        assert (reader.read(4, 10), reader.end_offset) == ([], 4)
        with Journal(path, now_ns=lambda: 0) as journal:
            assert journal.append([TICK]) == range(4, 5)
            assert reader.read(4, 10)[0].arrival_ns == everything(path)[3].arrival_ns + 1


def test_a_second_writer_is_refused_by_name_of_the_first(path: Path) -> None:
    with Journal(path), pytest.raises(JournalBusyError, match=r"written by process \d+.*one writer only"):
        Journal(path)
    Journal(path).close()


def test_a_folder_that_is_no_journal_is_refused_by_writer_and_reader(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    for who in (Journal, JournalReader):
        with pytest.raises(NotAJournalError, match=r"no journal: it holds 'holiday\.jpg'"):
            who(tmp_path)
        with pytest.raises(NotAJournalError, match="a file"):
            who(tmp_path / "holiday.jpg")
    assert [file.name for file in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_journal_of_another_format_is_refused(path: Path) -> None:
    Journal(path).close()
    (path / "format").write_text("femtoward journal 9\n")
    for who in (Journal, JournalReader):
        with pytest.raises(NotAJournalError, match="another format: 'femtoward journal 9"):
            who(path)


def test_a_damaged_segment_is_named(path: Path) -> None:
    filled(path, 4).close()
    segment_path(path, 0).write_bytes(b"rubbish " * 1000)
    with pytest.raises(JournalError, match=r"segment .* is damaged .* move it away"):
        Journal(path)
    segment_path(path, 0).unlink()
    Journal(path).close()  # the lock was let go


def test_a_segment_taken_out_by_hand_is_a_hole_that_is_named(path: Path) -> None:
    filled(path, 12).close()
    segment_path(path, 4).unlink()
    with JournalReader(path) as reader:
        with pytest.raises(JournalError, match="has a hole: after offset 3 comes 8"):
            reader.read(0, 100)
        assert [record.offset for record in reader.read(8, 100)] == [8, 9, 10, 11]


def test_a_full_disk_leaves_nothing_half_written_and_passes(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([message(0)])
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            journal.append([message(number, 4000) for number in range(1, 100)])
        assert [record.offset for record in everything(path)] == [0]
        journal._connection.execute("PRAGMA max_page_count=1000000")
        assert journal.append([message(1)]) == range(1, 2)
    assert [record[2:] for record in everything(path)] == [message(0), message(1)]


@pytest.mark.parametrize("wrong", [{"segment_bytes": 0}, {"retain_bytes": -1}, {"retain_ns": 0}])
def test_limits_that_are_not_positive_are_refused(path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Journal(path, **wrong)  # type: ignore[arg-type]  # integers, all of them


WRITER = """
import sys
from itertools import pairwise
from pathlib import Path
from ingest.journal import Journal, RecordKind
from ingest.pack import pack_segment, tidy, unpacked
from ingest.segments import segments

def packing(path, journal):  # forever, a group at a time
    while True:
        tidy(path, journal.first)
        for first in unpacked(path, journal.first):
            yield from pack_segment(path, first, dict(pairwise(segments(path)))[first])
            journal.prune()
        yield

journal = Journal(sys.argv[1], segment_bytes=2000, retain_bytes=400_000, prunes=False)
steps = packing(Path(sys.argv[1]), journal)
while True:
    start = journal.next_offset
    offsets = journal.append([(RecordKind.MESSAGE, "t", b"%d" % (start + i)) for i in range(5)])
    print(offsets.stop, flush=True)
    next(steps)
"""


def killed_writer(path: Path, lines: int) -> Iterator[int]:
    """What a writer said it had committed, until it was killed in full run."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout):
            if count == lines:
                writer.send_signal(signal.SIGKILL)
            if line.endswith(b"\n"):
                yield int(line)


def test_a_writer_killed_at_any_instant_leaves_a_journal_that_goes_on(path: Path) -> None:
    packed = pruned = False
    for lines in (0, 1, 33, 47, 70, 100, 121, 8, 64, 90):  # in the middle of writing, rotating, packing and removing
        said = max(killed_writer(path, lines))
        with JournalReader(path) as reader:
            first, end = reader.first_offset, reader.end_offset
            assert end >= said
            assert end % 5 == 0  # a transaction is there as a whole
            records = reader.read(first, 10**6)
        assert [record.offset for record in records] == list(range(first, end))
        assert all(int(record.payload) == record.offset for record in records)
        packed = packed or len(segments(path)) > len(segments(path, packed=False)) + 5
        pruned = pruned or first > 0
    assert packed
    assert pruned


def test_a_writer_that_was_killed_before_its_marker_stood_leaves_a_folder_that_opens(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    (tmp_path / f".{MARKER}.123.tmp").write_text("femto")
    assert JournalReader(tmp_path).end_offset == 0
    with Journal(tmp_path) as journal:
        journal.append([(RecordKind.TICK, "", b"")])
    assert JournalReader(tmp_path).end_offset == 1
