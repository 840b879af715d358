"""The journal as a Bytewax source: each record once and in order, through stops, resumes and drains."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, cluster_main

from dataflows.headway import Headway, Mark
from ingest.journal import Journal, JournalError, JournalReader, Record, RecordKind
from ingest.source import DOZE, DOZE_AFTER, IDLE, JournalSource, Reading


def fill(path: Path, count: int, **limits: int) -> None:
    with Journal(path, segment_bytes=500, **limits) as journal:  # type: ignore[arg-type]  # integers, all of them
        for _ in range(count):
            journal.append([(RecordKind.MESSAGE, "t", b"%d" % journal.next_offset)])


def run(source: JournalSource, out: list[tuple[str, Record]], workers: int = 1, store: Path | None = None) -> None:
    graph = Dataflow("journal")
    op.output("out", op.input("in", graph, source), TestingSink(out))
    recovery = None if store is None else RecoveryConfig(str(store))  # type: ignore[no-untyped-call]  # Bytewax's
    cluster_main(  # type: ignore[no-untyped-call]  # own functions
        graph, [], 0, epoch_interval=timedelta(0), recovery_config=recovery, worker_count_per_proc=workers
    )


def offsets(out: list[tuple[str, Record]], partition: str = "main") -> list[int]:
    return [record.offset for name, record in out if name == partition]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 512])
def test_a_replay_gives_every_record_once_and_in_order(tmp_path: Path, batch_size: int) -> None:
    fill(tmp_path / "a", 50)
    fill(tmp_path / "b", 30)
    out: list[tuple[str, Record]] = []
    source = JournalSource({"main": tmp_path / "a", "annex": tmp_path / "b"}, batch_size=batch_size, stop_at_end=True)
    run(source, out)
    assert offsets(out) == list(range(50))
    assert offsets(out, "annex") == list(range(30))
    assert all(record.payload == b"%d" % record.offset for _, record in out)


def test_two_workers_share_the_partitions(tmp_path: Path) -> None:
    fill(tmp_path / "a", 20)
    fill(tmp_path / "b", 20)
    out: list[tuple[str, Record]] = []
    source = JournalSource({"main": tmp_path / "a", "annex": tmp_path / "b"}, stop_at_end=True)
    run(source, out, workers=2)
    assert offsets(out) == offsets(out, "annex") == list(range(20))


def test_a_resumed_flow_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store = tmp_path / "recovery"
    store.mkdir()
    init_db_dir(store, 1)  # type: ignore[no-untyped-call]  # Bytewax's own function
    out: list[tuple[str, Record]] = []
    for count in (10, 0, 25):
        fill(tmp_path / "journal", count)
        source = JournalSource({"main": tmp_path / "journal"}, batch_size=3, stop_at_end=True)
        run(source, out, store=store)
    assert offsets(out) == list(range(35))


def once_read(out: list[tuple[str, Record]], count: int, then: Callable[[], None]) -> Callable[[], bool]:
    """Answer for `stopping`: True from when `count` records are out on, `then` being done once at that moment."""
    done: list[bool] = []

    def stopping() -> bool:
        if not done and len(out) >= count:
            done.append(True)
            then()
        return bool(done)

    return stopping


def test_a_drain_reads_to_the_end_as_of_that_moment(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    fill(path, 30)
    out: list[tuple[str, Record]] = []
    source = JournalSource({"main": path}, batch_size=4, stopping=once_read(out, 8, lambda: fill(path, 12)))
    run(source, out)
    assert offsets(out) == list(range(42))


def test_a_source_that_has_read_all_waits_a_little_and_then_sees_more(tmp_path: Path) -> None:
    source = JournalSource({"main": tmp_path / "journal"}, batch_size=10)
    part = source.build_part("in", "main", None)
    assert part.next_batch() == []
    due = part.next_awake()
    assert due is not None
    assert due <= datetime.now(UTC) + timedelta(milliseconds=25)
    fill(tmp_path / "journal", 15)
    assert len(part.next_batch()) == 10
    assert (part.next_awake(), part.snapshot()) == (None, 10)
    assert len(part.next_batch()) == 5
    assert part.next_awake() is not None
    part.close()


def test_a_source_to_which_nobody_sends_looks_less_often_until_somebody_does(tmp_path: Path) -> None:
    part = JournalSource({"main": tmp_path / "journal"}).build_part("in", "main", None)
    for _ in range(DOZE_AFTER + 1):
        assert part.next_batch() == []
    due = part.next_awake()
    assert due is not None
    assert due > datetime.now(UTC) + IDLE
    fill(tmp_path / "journal", 1)
    assert len(part.next_batch()) == 1
    due = part.next_awake()
    assert due is not None
    assert due <= datetime.now(UTC) + IDLE
    part.close()


def test_a_source_that_is_alone_waits_in_its_looks_where_nobody_sends(tmp_path: Path) -> None:
    part = JournalSource({"main": tmp_path / "journal"}, rests=True).build_part("in", "main", None)
    for _ in range(DOZE_AFTER):
        assert part.next_batch() == []
    assert part.next_awake() is not None
    assert part.next_batch() == []
    assert part.next_awake() is None  # the next look waits by itself
    fill(tmp_path / "journal", 1)
    begin = time.monotonic()
    assert len(part.next_batch()) == 1
    assert time.monotonic() - begin >= DOZE.total_seconds()
    assert part.next_awake() is not None
    part.close()


class Noted:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.lost: list[tuple[str, int, int]] = []

    def on_read(self, partition: str, reading: Reading) -> None:
        assert partition == "main"
        self.readings.append(reading)

    def on_lost(self, partition: str, first: int, end: int) -> None:
        self.lost.append((partition, first, end))


def test_what_was_removed_before_it_was_read_is_said_and_the_ward_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "journal", 50, retain_bytes=1)
    with JournalReader(tmp_path / "journal") as reader:
        first = reader.first_offset
    noted = Noted()
    part = JournalSource({"main": tmp_path / "journal"}, observer=noted).build_part("in", "main", 3)
    assert [record.offset for _, record in part.next_batch()] == list(range(first, 50))
    assert noted.lost == [("main", 3, first)]
    assert f"no longer holds records 3 to {first - 1}" in caplog.text
    part.close()
    part = JournalSource({"main": tmp_path / "journal"}, observer=noted).build_part("in", "main", None)
    assert part.next_batch()[0][1].offset == first
    assert len(noted.lost) == 1  # who never had a position has lost none
    part.close()


def test_a_drain_ends_after_some_seconds_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "journal", 50)
    monkeypatch.setattr("ingest.source.DRAIN_S", 0.0)
    part = JournalSource({"main": tmp_path / "journal"}, stopping=lambda: True).build_part("in", "main", None)
    with pytest.raises(StopIteration):
        part.next_batch()
    assert part.snapshot() == 0
    part.close()


def test_a_drain_reads_in_small_batches_so_that_the_last_one_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.source.BATCH_S", 1e6)
    fill(tmp_path / "journal", 400)
    told: list[bool] = []
    part = JournalSource({"main": tmp_path / "journal"}, stopping=lambda: bool(told)).build_part("in", "main", None)
    sizes = [len(part.next_batch()), len(part.next_batch())]
    part.close()
    part = JournalSource({"main": tmp_path / "journal"}, stopping=lambda: bool(told)).build_part("in", "main", 0)
    part.next_batch()
    told.append(True)
    assert sizes == [64, 336]
    assert [len(part.next_batch()) for _ in range(6)] == [64, 64, 64, 64, 64, 16]
    with pytest.raises(StopIteration):
        part.next_batch()
    part.close()


def test_reading_waits_until_the_ticks_read_have_come_through_every_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.headway.MOST_TICKS", 5)
    with Journal(tmp_path / "journal") as journal:
        for _ in range(40):
            journal.append([(RecordKind.MESSAGE, "t", b"m"), (RecordKind.TICK, "", b"")])
    headway, noted = Headway(2), Noted()
    source = JournalSource({"main": tmp_path / "journal"}, batch_size=4, observer=noted, ahead=headway)
    part = source.build_part("in", "main", None)
    read = [record for _ in range(9) for _, record in part.next_batch()]
    assert len(read) == 12  # six ticks
    assert part.next_awake() is not None
    assert not noted.readings[-1].at_end
    headway.through("main", Mark(read[-1].arrival_ns, 0))
    assert part.next_batch() == []
    headway.through("main", Mark(read[3].arrival_ns, 1))
    assert len(part.next_batch()) == 4
    headway.through("main", Mark(1 << 62, 0))
    headway.through("main", Mark(1 << 62, 1))
    assert sum(len(part.next_batch()) for _ in range(30)) == 64
    part.close()


def test_a_replay_that_is_told_to_stop_ends_at_once(tmp_path: Path) -> None:
    fill(tmp_path / "journal", 50)
    out: list[tuple[str, Record]] = []
    stopping = once_read(out, 8, lambda: None)
    run(JournalSource({"main": tmp_path / "journal"}, batch_size=4, stop_at_end=True, stopping=stopping), out)
    assert offsets(out) == list(range(8))


def test_batches_are_small_where_they_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("ingest.source.time.monotonic", lambda: now_s[0])
    with Journal(tmp_path / "journal") as journal:
        journal.append([(RecordKind.MESSAGE, "t", b"")] * 3000)
    part = JournalSource({"main": tmp_path / "journal"}).build_part("in", "main", None)
    sizes = []
    for took_s in (0.125, 0.125, 8.0, 8.0, 16.0, 0.125, 0.0):
        sizes.append(len(part.next_batch()))
        now_s[0] += took_s
    assert sizes == [64, 512, 1024, 128, 16, 16, 128]
    part.close()


def test_large_records_come_in_small_batches(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for _ in range(60):
            journal.append([(RecordKind.MESSAGE, "t", bytes(1_000_000))])
    noted = Noted()
    part = JournalSource({"main": tmp_path / "journal"}, batch_size=20, observer=noted).build_part("in", "main", None)
    while not noted.readings or not noted.readings[-1].at_end:
        part.next_batch()
    assert [reading.records for reading in noted.readings] == [20, *10 * [4], 0]
    part.close()


def test_resuming_after_the_end_is_another_journal_and_refused(tmp_path: Path) -> None:
    fill(tmp_path / "journal", 5)
    source = JournalSource({"main": tmp_path / "journal"})
    with pytest.raises(JournalError, match="ends at offset 5, but partition 'main' is to go on at 6"):
        source.build_part("in", "main", 6)


def test_a_journal_to_replay_must_be_there(tmp_path: Path) -> None:
    source = JournalSource({"main": tmp_path / "nowhere"}, stop_at_end=True)
    with pytest.raises(JournalError, match=r"no journal at .*nowhere to replay"):
        source.build_part("in", "main", None)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size=0"):
        JournalSource({"main": "x"}, batch_size=0)
