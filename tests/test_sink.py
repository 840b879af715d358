"""The store as a sink: which partition a key goes to, a disk without room, figures, and a keeper beside it."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from outgoing import NS, SECOND, alarm, one_of_each, vitals
from prometheus_client import REGISTRY
from servers import eventually

from dataflows import keeper as keeper_module
from dataflows.events import Bad, Row
from dataflows.keep import Keep
from dataflows.sink import StorePartition, StoreSink
from dataflows.store import Put, Store


def full(code: int = sqlite3.SQLITE_FULL) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.sqlite") as one:
        yield one


@pytest.fixture
def failing(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Errors that the next puts raise, the last one first."""
    errors: list[BaseException] = []
    put: Callable[[Sequence[Row]], Put] = store.put

    def put_or_raise(rows: Sequence[Row]) -> Put:
        if errors:
            raise errors.pop()
        return put(rows)

    monkeypatch.setattr(store, "put", put_or_raise)
    monkeypatch.setattr("dataflows.sink.RETRY_S", 0.001)
    return errors


def test_a_key_goes_to_its_partition_among_all_and_a_process_names_its_own(tmp_path: Path) -> None:
    sink = StoreSink({"b": tmp_path / "b"}, lambda: 1, partitions=("c", "b", "a"))
    assert sink.list_parts() == ["b"]
    assert [sink.part_fn(name) for name in ("a", "b", "c")] == [0, 1, 2]
    assert StoreSink({"b": tmp_path / "b", "a": tmp_path / "a"}, lambda: 1).part_fn("b") == 1


def test_a_full_disk_is_waited_for_and_said_once(
    store: Store, failing: list[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    failing += [full(), full(sqlite3.SQLITE_IOERR_WRITE), OSError(28, "no space left on device")]
    StorePartition(store).write_batch([vitals()])
    assert store.count("vitals") == 1
    assert [record.message for record in caplog.records] == [
        f"the store {store.path} finds no room ([Errno 28] no space left on device): waiting for some",
        f"the store {store.path} has room again",
    ]


def test_a_flow_that_stops_does_not_wait_for_room(store: Store, failing: list[BaseException]) -> None:
    failing += [full(), full()]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        StorePartition(store, stopping=lambda: len(failing) == 0).write_batch([vitals()])


@pytest.mark.parametrize("error", [sqlite3.DatabaseError("file is not a database"), OSError(13, "not yours")])
def test_a_broken_store_ends_the_flow(store: Store, failing: list[BaseException], error: Exception) -> None:
    failing.append(error)
    with pytest.raises(type(error), match=str(error)[-10:]):
        StorePartition(store).write_batch([vitals()])


def test_rows_conflicts_and_refusals_are_counted(store: Store) -> None:
    def figure(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = figure("femtoward_store_rows_total", kind="vitals"), figure("femtoward_store_conflicts_total")
    rubbish = figure("femtoward_bad_messages_total", reason="clumsy")
    partition = StorePartition(store)
    partition.write_batch([vitals(), Bad("north", 7, 0, SECOND * NS, "topic", "clumsy", "", 12, 40)])
    partition.write_batch([vitals(hr=1.0)])
    assert figure("femtoward_store_rows_total", kind="vitals") == before[0] + 2
    assert figure("femtoward_store_conflicts_total") == before[1] + 1
    assert figure("femtoward_bad_messages_total", reason="clumsy") == rubbish + 40


def test_the_latency_of_vitals_is_from_their_newest_sample_to_their_commit(store: Store) -> None:
    def figure(what: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"femtoward_vitals_latency_seconds_{what}", labels) or 0.0

    bounds = ("0.25", "0.3", "1.0", "+Inf")
    before = [figure("bucket", le=le) for le in bounds], figure("sum")
    partition = StorePartition(store, now_ns=lambda: SECOND * NS + NS + NS * 28 // 100)
    partition.write_batch([vitals(), vitals("p2"), vitals("p3", SECOND - 40), alarm()])
    partition.write_batch([alarm("a2")])
    grown = [figure("bucket", le=le) - count for le, count in zip(bounds, before[0], strict=True)]
    assert grown == [0, 2, 2, 3]
    assert figure("sum") - before[1] == pytest.approx(0.28 + 0.28 + 40.28)


def test_a_store_is_pruned_while_it_is_written_until_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "ROUND_S", 0.001)
    sink = StoreSink({"main": tmp_path / "store.sqlite"}, lambda: SECOND * NS, Keep(vitals_days=1.0))
    partition = sink.build_part("store", "main", None)
    before = threading.active_count()
    with Store(tmp_path / "store.sqlite", readonly=True) as reader:
        for n in range(20):
            partition.write_batch([vitals(second=SECOND - 100_000 + n)])
        partition.write_batch(one_of_each())
        eventually(lambda: reader.count("vitals") == 1)
        assert reader.count("alarm") == 1
    partition.close()
    assert threading.active_count() == before - 1
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        partition.write_batch([alarm("a2")])


def test_a_flow_that_fails_leaves_no_keeper_behind(tmp_path: Path) -> None:
    sink = StoreSink({"main": tmp_path / "store.sqlite"}, lambda: 1, Keep())
    before = threading.active_count()
    partition: object = sink.build_part("store", "main", None)
    assert threading.active_count() == before + 1
    del partition
    eventually(lambda: threading.active_count() == before)
