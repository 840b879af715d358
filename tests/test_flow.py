"""The Bytewax graph over a real journal and a real store: shards, stops, kills and resumes give the same digests."""

import fcntl
import sqlite3
import threading
from pathlib import Path

import pytest
from flows import (
    Digests,
    digests,
    ended,
    eventually,
    growing,
    killed,
    resumed_at,
    rows,
    started,
    undisturbed,
    worked_off,
)
from wire import Tape, beating, birth_of, packets, played

from dataflows.events import Bad
from dataflows.flow import FlowError, FlowOptions, run_flow
from dataflows.fold import Fold, Folded
from dataflows.headway import Headway
from dataflows.sink import StorePartition
from dataflows.store import Store
from ingest.beacon import Beacon
from ingest.journal import Journal, JournalReader, Record, RecordKind


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ward of eight, half a minute, with pauses, a hole and rubbish, in a journal."""
    tape = Tape()
    for i in range(8):
        tape.birth(birth_of(f"w{i}", f"p{i}"))
    streams = [
        packets(f"w{i}", beating(30.0, 60.0 + 5 * i, [(12.0, 22.0)] if i % 3 == 0 else [], seed=i)) for i in range(8)
    ]
    del streams[5][50:70]
    played(tape, streams)
    tape.ticks(12.0)
    folder = tmp_path_factory.mktemp("journal")
    arrivals = iter(record.arrival_ns for record in tape.records)
    journal = Journal(folder, now_ns=lambda: next(arrivals))
    for record in tape.records:
        journal.append([(RecordKind(record.kind), record.topic, record.payload)])
    journal.close()
    return folder


@pytest.fixture(scope="module")
def once(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> Digests:
    return undisturbed(journal, tmp_path_factory.mktemp("once"))


def test_the_undisturbed_run_has_a_row_for_each_second_and_its_alarms(once: Digests) -> None:
    *_, vitals, alarms = once
    assert vitals == 8 * 30 - 4  # the hole of 5 s touches six seconds and swallows four whole
    assert alarms >= 6


@pytest.mark.parametrize("shards", [3, pytest.param(4, marks=pytest.mark.long)])
def test_the_number_of_shards_changes_no_digest(journal: Path, once: Digests, tmp_path: Path, shards: int) -> None:
    options = FlowOptions(data_dir=str(tmp_path), shards=shards, stop_at_end=True, journals={"main": str(journal)})
    run_flow(options, lambda: False)
    assert digests(options) == once


def test_workers_that_read_ahead_wait_for_the_others_and_change_no_digest(
    journal: Path, once: Digests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[bool] = []

    class Watched(Headway):
        def far(self, partition: str) -> bool:
            waited.append(super().far(partition))
            return waited[-1]

    monkeypatch.setattr("dataflows.headway.MOST_TICKS", 2)
    monkeypatch.setattr("dataflows.flow.Headway", Watched)
    options = FlowOptions(
        data_dir=str(tmp_path), shards=4, workers=3, stop_at_end=True, journals={"main": str(journal)}
    )
    run_flow(options, lambda: False)
    assert digests(options) == once
    assert any(waited)


@pytest.mark.long
def test_two_workers_give_the_digests_of_one(journal: Path, once: Digests, tmp_path: Path) -> None:
    options = FlowOptions(
        data_dir=str(tmp_path), shards=4, workers=2, stop_at_end=True, journals={"main": str(journal)}
    )
    run_flow(options, lambda: False)
    assert digests(options) == once


def test_a_flow_that_is_killed_again_and_again_ends_with_the_digests_of_an_undisturbed_one(
    journal: Path, once: Digests, tmp_path: Path
) -> None:
    options = FlowOptions(data_dir=str(tmp_path), snapshot_s=0.2)
    with JournalReader(journal) as reader:
        records = reader.read(0, reader.end_offset)
    with growing({options.journal("main"): records}, 8.0) as whole:
        for wanted in (1, 90):
            flow = started(options, tmp_path / "log")
            eventually(lambda wanted=wanted: rows(options) >= wanted)  # type: ignore[misc]  # a default binds the loop's value
            killed(flow)
        flow = started(options, tmp_path / "log")
        assert resumed_at(flow)[1]
        eventually(whole.is_set)
    eventually(lambda: worked_off(options, len(records)))
    flow.terminate()
    assert ended(flow) == 0
    assert digests(options) == once


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_flow_that_waits_for_room_on_a_full_disk_can_be_stopped(
    journal: Path, once: Digests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    options = FlowOptions(data_dir=str(tmp_path), shards=4, workers=workers, journals={"main": str(journal)})
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    tried = []

    def put(*_: object) -> None:
        tried.append(True)
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", put)
        run_flow(options, lambda: len(tried) > 1)
    assert len(tried) > 1
    for _ in range(10):  # a stop ends the reading after a few seconds, wherever it is
        run_flow(options, lambda: rows(options) > 0)
        if digests(options) == once:
            break
    assert digests(options) == once


def test_a_worker_that_hangs_is_missed_though_another_one_goes_on(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, hung, leave, beaten = [0.0], threading.Event(), threading.Event(), threading.Semaphore(0)

    class Counted(Beacon):
        def beat(self) -> None:
            super().beat()
            beaten.release()

    def others_go_on() -> None:
        while beaten.acquire(blocking=False):
            pass
        for _ in range(5):
            assert beaten.acquire(timeout=30.0)

    def feed(fold: Fold, records: list[Record]) -> list[Folded]:
        if not hung.is_set():
            hung.set()
            leave.wait(60.0)
        return fed(fold, records)

    fed = Fold.feed
    monkeypatch.setattr(Fold, "feed", feed)
    beacon, stopping = Counted(10.0, lambda: now[0]), threading.Event()
    options = FlowOptions(data_dir=str(tmp_path), shards=4, workers=2, journals={"main": str(journal)})
    flow = threading.Thread(target=run_flow, args=(options, stopping.is_set, beacon))
    flow.start()
    assert hung.wait(30.0)
    others_go_on()
    assert beacon.state().alive
    now[0] += 10.5
    others_go_on()
    assert not beacon.state().alive
    assert "a step of one thread has not ended for 10 s" in beacon.state().detail
    leave.set()
    eventually(lambda: beacon.state().alive and rows(options) > 0)
    stopping.set()
    flow.join(30.0)
    assert not flow.is_alive()


def test_a_second_flow_in_the_same_folder_is_refused_with_words(journal: Path, tmp_path: Path) -> None:
    options = FlowOptions(data_dir=str(tmp_path), stop_at_end=True, journals={"main": str(journal)})
    folder = options.folder("main")
    folder.mkdir()
    with (folder / "flow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FlowError, match=r"another flow works in .*: stop it first"):
            run_flow(options, lambda: False)


def test_refusals_are_logged_once_and_then_at_every_tenfold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = StorePartition(Store(tmp_path / "store.sqlite"))
    bad = [Bad("s", offset, 0, 1, "t", "undecodable", "why", 3) for offset in range(25)]
    part.write_batch(list(bad))
    part.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"refused on t ({n} so far): undecodable: why" for n in (1, 10)
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shards": 0}, "at least 1"),
        ({"snapshot_s": 0.0}, "above 0"),
        ({"partitions": ()}, "at least one name"),
        ({"process": 1}, "one of the 1"),
        ({"local": ("icu",)}, "'icu' is none"),
    ],
)
def test_options_that_no_flow_can_run_with_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FlowOptions(data_dir="x", **wrong)  # type: ignore[arg-type]
