"""The store: keys, revisions, conflicts, digests, readers beside the writer, and what a kill leaves."""

import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from outgoing import SECOND, alarm, any_row, bed, device, ledger, one_of_each, vitals, wave

from dataflows.body import decode_named, encode
from dataflows.disk_full import is_full
from dataflows.events import NAN, AlarmState, Reading, Row, Vitals
from dataflows.store import APPLICATION_ID, Commit, Put, Store, StoreMissing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "main" / "store.sqlite"


def test_every_kind_of_row_comes_back_in_the_order_in_which_it_was_put(path: Path) -> None:
    with Store(path) as store:
        assert store.put(one_of_each()) == Put(10, 0, 0, 0)
        stored = store.read(0, 100)
        assert [row.id for row in stored] == list(range(1, 11))
        assert [encode(row.row) for row in stored] == [encode(row) for row in one_of_each()]
        assert [row.row.kind for row in store.read(2, 100, kinds=("ledger", "alarm"))] == ["alarm", "ledger"]
        assert [row.id for row in store.read(2, 3)] == [3, 4, 5]
        assert [row.id for row in store.read(0, 2, kinds=("bad", "vitals", "answer"))] == [1, 8]


def test_a_reader_looks_no_further_than_it_may_whatever_it_reads(path: Path) -> None:
    with Store(path) as store:
        store.put(one_of_each())
        everything = [row.id for row in store.read(0, 100)]
        for kinds in ((), ("vitals", "wave", "alarm"), ("alarm", "ledger")):
            found = [row.id for row in store.read(0, 100, kinds)]
            for up_to in (0, 4, everything[-1]):
                assert [row.id for row in store.read(0, 100, kinds, up_to)] == [one for one in found if one <= up_to]
        assert store.waiting(0, ("vitals", "alarm"), up_to=1) == 1


def test_the_seconds_of_a_patient_are_found_among_those_of_others(path: Path) -> None:
    with Store(path) as store:
        times = [*range(100, 130), *range(140, 200)]
        store.put([vitals(patient, second) for second in reversed(times) for patient in ("p1", "p1/1", "p2")])
        store.put([replace(vitals("p1", 150), site="south")])
        assert [row.second for row in store.seconds("north", "p1", 120, 150)] == [*range(120, 130), *range(140, 150)]
        assert {row.patient for row in store.seconds("north", "p1", 0, 1000)} == {"p1"}
        assert store.seconds("north", "p3", 0, 1000) == store.seconds("north", "p1", 130, 140) == []


def test_what_was_committed_by_a_time_is_known_where_times_are_kept(path: Path) -> None:
    times = iter((100, 200, 300))
    with Store(path, now_ns=lambda: next(times)) as store:
        assert store.committed_by(1000) is None
        for second in range(3):
            store.put([vitals("p1", second), vitals("p2", second)])
        assert [store.committed_by(at_ns) for at_ns in (99, 100, 199, 200, 1000)] == [0, 2, 2, 4, 4]
    with Store(path, readonly=True) as reader:
        assert reader.committed_by(300) == 6


@given(any_row)
def test_any_row_survives_its_bytes(row: Row) -> None:
    assert encode(decode_named(row.kind, encode(row))) == encode(row)


def test_the_same_row_twice_is_nothing_new(path: Path) -> None:
    with Store(path) as store:
        store.put(one_of_each())
        before = store.last_id()
        assert store.put(one_of_each()) == Put(0, 10, 0, 0)
        assert store.last_id() == before
        assert store.put([vitals(second=1), vitals(second=1)]) == Put(1, 1, 0, 0)


def test_another_body_under_the_same_key_is_a_conflict_and_the_first_stays(path: Path) -> None:
    with Store(path) as store:
        store.put([vitals(hr=60.0)])
        assert store.put([vitals("p2"), vitals(hr=61.0)]) == Put(1, 0, 1, 0)
        assert store.put([vitals(hr=61.0)]) == Put(0, 0, 1, 0)
        assert store.latest_vitals()["north", "p1"].hr.value == 60.0
        [conflict] = store.conflicts()
        assert isinstance(conflict.kept, Vitals)
        assert isinstance(conflict.refused, Vitals)
        assert (conflict.kept.hr.value, conflict.refused.hr.value) == (60.0, 61.0)
        assert store.conflict_count() == 1


def test_the_same_key_at_another_site_is_another_row(path: Path) -> None:
    elsewhere = replace(vitals(), site="south")
    with Store(path) as store:
        assert store.put([vitals(), elsewhere]).new == 2
        assert set(store.latest_vitals()) == {("north", "p1"), ("south", "p1")}


def test_a_higher_revision_replaces_under_a_new_id_and_a_lower_one_is_ignored(path: Path) -> None:
    with Store(path) as store:
        store.put([ledger(1), vitals()])
        assert store.put([ledger(3, stored=30)]) == Put(0, 0, 0, 1)
        assert store.put([ledger(2, stored=20)]) == Put(0, 1, 0, 0)
        assert store.put([ledger(3, stored=30)]) == Put(0, 1, 0, 0)
        assert store.put([ledger(3, stored=31)]) == Put(0, 0, 1, 0)
        assert [row.stored for row in store.ledger()] == [30]
        assert [row.id for row in store.read(0, 9)] == [2, 3]
        assert store.put([ledger(4), ledger(5, stored=50)]) == Put(0, 0, 0, 2)
        assert [row.stored for row in store.ledger()] == [50]


def test_an_id_is_never_used_again(path: Path) -> None:
    with Store(path) as store:
        store.put([ledger(1)])
        for revision in range(2, 5):
            store.put([ledger(revision)])
            assert store.last_id() == revision
    with Store(path) as store:
        store.put([vitals()])
        assert store.last_id() == 5


@given(
    st.lists(any_row, max_size=12, unique_by=lambda row: (row.kind, row.site, row.key)),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_the_digest_depends_on_what_the_rows_say_only(rows: list[Row], order: random.Random, size: int) -> None:
    with (
        TemporaryDirectory() as folder,
        Store(f"{folder}/once") as once,
        Store(f"{folder}/pieces", now_ns=lambda: 1) as pieces,
    ):
        once.put(rows)
        shuffled = rows[:]
        order.shuffle(shuffled)
        for start in range(0, len(shuffled), size):
            pieces.put([ledger(1), *shuffled[start : start + size]])
            pieces.put(shuffled[: start + size])
        for kind in ("vitals", "alarm"):
            assert once.digest(kind) == pieces.digest(kind)


def test_the_digest_sees_every_field_down_to_the_strip(path: Path, tmp_path: Path) -> None:
    digests = set()
    for n, event in enumerate((alarm(), alarm(reason="another"), alarm(step=1))):
        with Store(tmp_path / f"{n}.sqlite") as store:
            store.put([event])
            digests.add(store.digest("alarm"))
    with Store(path) as store:
        digests.add(store.digest("alarm"))
        store.put([replace(alarm(), strip=b"other")])
        digests.add(store.digest("alarm"))
    assert len(digests) == 5


@pytest.mark.parametrize("bits", [0xFFF8000000000000, 0x7FF8000000000001, 0x7FF4000000000000, 0xFFF0000000000001])
def test_every_nan_is_the_same_nan(path: Path, bits: int) -> None:
    odd = struct.unpack("<d", struct.pack("<Q", bits))[0]
    with Store(path) as store:
        assert store.put([vitals(hr=NAN), wave()]).new == 2
        assert store.put([vitals(hr=odd)]) == Put(0, 1, 0, 0)


def test_infinities_stay_apart_from_nan(path: Path) -> None:
    with Store(path) as store:
        store.put([vitals("up", hr=float("inf")), vitals("down", hr=float("-inf"))])
        found = store.latest_vitals()
        assert (found["north", "up"].hr.value, found["north", "down"].hr.value) == (float("inf"), float("-inf"))


def test_the_latest_vitals_are_the_newest_second_in_whatever_order_they_came(path: Path) -> None:
    with Store(path) as store:
        store.put([vitals(second=9), vitals(second=SECOND), vitals("p2", second=3)])
        store.put([vitals(second=SECOND - 1)])
        assert {key[1]: row.second for key, row in store.latest_vitals().items()} == {"p1": SECOND, "p2": 3}


def test_alarms_are_found_by_their_present_state_and_with_their_history(path: Path) -> None:
    with Store(path) as store:
        store.put([alarm("a1"), alarm("a2"), alarm("a3", state="missed"), alarm("a1", 1, "acknowledged")])
        store.put([alarm("a2", 11, "ended"), alarm("a2", 2, "acknowledged")])
        assert {event.id: event.state for event in store.alarms()} == {
            "a1": "acknowledged",
            "a2": "ended",
            "a3": "missed",
        }
        unended: tuple[AlarmState, ...] = ("active", "acknowledged")
        assert [event.id for event in store.alarms(unended)] == ["a1"]
        assert store.alarms(unended[:1]) == []
        assert [event.step for event in store.history("a2")] == [0, 2, 11]
        assert store.history("a") == []


def test_patients_and_devices_are_those_of_the_newest_revision(path: Path) -> None:
    with Store(path) as store:
        store.put(one_of_each())
        store.put([device(2, state="lost")])
        assert store.patients()["north", "p1"].bed == "bed 1"
        assert store.devices()["north", "w1"].state == "lost"
        assert [store.count(kind) for kind in ("device", "vitals", "nothing")] == [1, 1, 0]


def test_of_each_bed_the_newest_row_is_told_whatever_came_first(path: Path) -> None:
    with Store(path) as store:
        store.put([bed(need=6, at_ns=5), bed("p2", at_ns=3)])
        store.put([bed(need=0, at_ns=4), bed("p2", at_ns=9, need=1)])
        assert {key: row.need for key, row in store.beds().items()} == {("north", "p1"): 6, ("north", "p2"): 1}
        assert store.count("bed") == 4


@pytest.mark.parametrize(
    ("row", "since"),
    [(vitals(), "ward"), (alarm(), "ward"), (device(), "declared_noise_floor"), (one_of_each()[3], "ward")],
)
def test_rows_of_an_older_store_are_read_with_what_they_did_not_say_left_open(row: Row, since: str) -> None:
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(encode(row))[: row.__struct_fields__.index(since)])
    assert encode(decode_named(row.kind, older)) == encode(row)


def test_a_row_that_an_older_version_wrote_is_the_same_when_it_comes_again(path: Path) -> None:
    rows: list[Row] = [vitals(), alarm(), one_of_each()[3]]
    with Store(path) as store:
        store.put(rows)
    with closing(sqlite3.connect(path)) as db:
        for row in rows:
            older = msgspec.msgpack.decode(encode(row))[: row.__struct_fields__.index("ward")]
            db.execute("UPDATE out SET body = ? WHERE kind = ?", (msgspec.msgpack.encode(older), row.kind))
        db.commit()
    with Store(path) as store:
        assert store.put(rows) == Put(0, 3, 0, 0)
        assert store.put([replace(vitals(), ward="icu")]).conflicts == 1


def test_commit_times_are_written_by_the_next_put_and_by_closing(path: Path) -> None:
    times = iter((100, 200, 300))
    with Store(path, now_ns=lambda: next(times)) as store:
        store.put([vitals(), wave()])
        assert store.committed() == []
        store.put([vitals(second=1)])
        assert store.committed() == [Commit(2, 100)]
        store.put([vitals(second=1)])
        store.put([])
        assert store.committed() == [Commit(2, 100), Commit(3, 200)]
        store.put([vitals(second=2)])
    with Store(path, readonly=True) as reader:
        assert reader.committed(after=2) == [Commit(3, 200), Commit(4, 300)]


def test_a_reader_sees_commits_of_the_writer_and_cannot_write(path: Path) -> None:
    with Store(path) as writer, Store(path, readonly=True) as reader:
        assert reader.last_id() == 0
        writer.put([vitals()])
        assert reader.last_id() == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.put([vitals(second=1)])


def test_a_reader_without_a_store_is_told_that_the_flow_has_not_begun(path: Path) -> None:
    with pytest.raises(StoreMissing, match="the flow makes it"):
        Store(path, readonly=True)
    assert not path.exists()
    path.parent.mkdir()
    path.touch()
    with pytest.raises(StoreMissing, match="still empty"):
        Store(path, readonly=True)


def test_a_put_that_finds_no_room_leaves_nothing_and_works_again(path: Path) -> None:
    with Store(path) as store:
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full") as full:
            store.put([wave(SECOND + n) for n in range(500)])
        assert is_full(full.value)
        assert store.last_id() == 0
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert store.put([wave(SECOND + n) for n in range(500)]).new == 500


def test_what_waits_for_a_courier_is_counted_up_to_a_limit(path: Path) -> None:
    with Store(path) as store:
        store.put([alarm(), *[vitals(f"p{n}") for n in range(30)]])
        assert store.waiting(0, ("alarm",)) == 1
        assert store.waiting(1, ("alarm",)) == 0
        assert store.waiting(11, ("alarm", "vitals")) == 20
        assert store.waiting(0, ("alarm", "vitals"), limit=7) == 8


def test_all_kinds_at_once_are_read_in_the_order_of_their_ids(path: Path) -> None:
    with Store(path) as store:
        store.put([row for n in range(10) for row in (vitals(second=n), device(n + 1), wave(n), alarm(f"a{n}"))])
        found = store.read(3, 20, ("alarm", "vitals", "wave"))
        wanted = [row.id for row in store.read(3, 99) if row.row.kind != "device"]
        assert [stored.id for stored in found] == wanted[:20]


def test_the_file_says_what_it_is(path: Path) -> None:
    Store(path).close()
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID


def test_a_put_that_fails_leaves_nothing_and_the_store_usable(path: Path) -> None:
    class Broken(Vitals, frozen=True):
        @property
        def key(self) -> str:
            raise OSError

    broken = Broken(*[getattr(vitals("p2"), name) for name in Vitals.__struct_fields__])
    with Store(path) as store:
        with pytest.raises(OSError):  # noqa: PT011 - raised above
            store.put([ledger(), vitals(), broken])
        assert store.last_id() == 0
        assert store.put([ledger(), vitals()]).new == 2


def test_a_numpy_number_is_refused_before_anything_is_written(path: Path) -> None:
    np = pytest.importorskip("numpy")
    with Store(path) as store:
        with pytest.raises(TypeError, match=r"numpy\.float64"):
            store.put([vitals(), vitals("p2", hr=np.float64(60))])
        assert store.last_id() == 0


_WRITER = """
import sys
sys.path.insert(0, {tests!r})
from outgoing import vitals
from dataflows.store import Store
store = Store({path!r})
second = 0
while True:
    store.put([vitals(f"p{{n}}", second) for n in range(200)])
    second += 1
    print(second, flush=True)
"""


def test_a_killed_writer_leaves_whole_puts_and_every_one_that_it_told_of(path: Path) -> None:
    for _ in range(3):
        script = _WRITER.format(tests=str(Path(__file__).parent), path=str(path))
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = [int(next(writer.stdout)) for _ in range(20)][-1]
            os.kill(writer.pid, signal.SIGKILL)  # most likely in the middle of the next put
        with Store(path) as store:
            rows = store.count("vitals")
            assert rows % 200 == 0
            assert rows >= told * 200
            assert {row.second for row in store.latest_vitals().values()} == {rows // 200 - 1}


def test_readings_keep_value_uncertainty_and_quality(path: Path) -> None:
    with Store(path) as store:
        store.put([vitals(hr=71.25)])
        assert store.latest_vitals()["north", "p1"].hr == Reading(71.25, 0.4, 0.9)
