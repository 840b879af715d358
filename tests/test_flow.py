"""The Bytewax graph over a real journal and a real store: shards, stops, kills and resumes give the same digests."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from wire import Tape, beating, birth_of, packets, played

from dataflows.events import Bad
from dataflows.flow import FlowError, FlowOptions, run_flow
from dataflows.sink import StorePartition
from dataflows.store import Store, StoreMissing
from ingest.journal import Journal, RecordKind

FLOW = """
import signal, sys
from dataflows.flow import FlowOptions, run_flow
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
run_flow(FlowOptions(data_dir=sys.argv[1], snapshot_s=0.2, journals={"main": sys.argv[2]}), lambda: bool(stopped))
"""


def eventually(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


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


def digests(options: FlowOptions) -> tuple[str, str, int, int]:
    store = Store(options.store("main"), readonly=True)
    try:
        assert store.conflicts() == []
        return store.digest("vitals"), store.digest("alarm"), store.count("vitals"), store.count("alarm")
    finally:
        store.close()


@pytest.fixture(scope="module")
def undisturbed(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, int, int]:
    options = FlowOptions(
        data_dir=str(tmp_path_factory.mktemp("once")), stop_at_end=True, journals={"main": str(journal)}
    )
    run_flow(options, lambda: False)
    return digests(options)


def test_the_undisturbed_run_has_a_row_for_each_second_and_its_alarms(undisturbed: tuple[str, str, int, int]) -> None:
    _, _, vitals, alarms = undisturbed
    assert vitals == 8 * 30 - 4  # the hole of 5 s touches six seconds and swallows four whole
    assert alarms >= 6


@pytest.mark.parametrize("shards", [1, 3, 4])
def test_the_number_of_shards_changes_no_digest(
    journal: Path, undisturbed: tuple[str, str, int, int], tmp_path: Path, shards: int
) -> None:
    options = FlowOptions(data_dir=str(tmp_path), shards=shards, stop_at_end=True, journals={"main": str(journal)})
    run_flow(options, lambda: False)
    assert digests(options) == undisturbed


def test_two_workers_give_the_digests_of_one(
    journal: Path, undisturbed: tuple[str, str, int, int], tmp_path: Path
) -> None:
    options = FlowOptions(data_dir=str(tmp_path), workers=2, stop_at_end=True, journals={"main": str(journal)})
    run_flow(options, lambda: False)
    assert digests(options) == undisturbed


def test_a_flow_that_is_killed_again_and_again_ends_with_the_digests_of_an_undisturbed_one(
    journal: Path, undisturbed: tuple[str, str, int, int], tmp_path: Path
) -> None:
    options = FlowOptions(data_dir=str(tmp_path), journals={"main": str(journal)})
    store = options.store("main")

    def rows() -> int:
        try:
            with Store(store, readonly=True) as reader:
                return reader.count("vitals")
        except StoreMissing:
            return 0

    command = [sys.executable, "-c", FLOW, str(tmp_path), str(journal)]
    for wanted in (1, 60, 120, 180):
        flow = subprocess.Popen(command)
        eventually(lambda wanted=wanted: rows() >= wanted)  # type: ignore[misc]  # a default binds the loop's value
        flow.kill()
        flow.wait()
    flow = subprocess.Popen(command)
    eventually(lambda: rows() == undisturbed[2])
    flow.terminate()
    assert flow.wait(10.0) == 0
    assert digests(options) == undisturbed


def test_a_recovery_store_of_another_number_of_shards_is_refused_with_words(journal: Path, tmp_path: Path) -> None:
    run_flow(FlowOptions(data_dir=str(tmp_path), shards=2, journals={"main": str(journal)}), lambda: True)
    with pytest.raises(FlowError, match=r"was made for .*'shards': 2.*start it with those settings"):
        run_flow(FlowOptions(data_dir=str(tmp_path), shards=3, journals={"main": str(journal)}), lambda: True)


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
    [({"shards": 0}, "at least 1"), ({"snapshot_s": 0.0}, "above 0"), ({"partitions": ()}, "at least one name")],
)
def test_options_that_no_flow_can_run_with_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FlowOptions(data_dir="x", **wrong)  # type: ignore[arg-type]
