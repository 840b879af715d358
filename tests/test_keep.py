"""What the store lets go of, and what never: ages, couriers, a disk that runs short, and what is said of it."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from keeping import NOW, Ward, alarm_at, bad
from msgspec.structs import replace
from outgoing import NS, alarm, bed, device, ledger, vitals, wave

from dataflows import keeper as keeper_module
from dataflows.couriers.cursors import Cursors, Refused, needed_after, seen
from dataflows.events import PatientInfo, Row
from dataflows.keep import DAY_S, Keep
from dataflows.keeper import Keeper
from dataflows.retention import AT_ONCE
from dataflows.store import Put, Store, Stored

IDS = int(os.environ.get("FEMTOWARD_SOAK", "1600"))  # devices that come and go; the promise is made for 100,000


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_rows_go_when_they_are_older_than_asked_for_and_the_newest_row_of_all_stays(ward: Ward) -> None:
    ages = (DAY_S * 3, DAY_S + 1, 7201, 7199, 0)
    ward.store.put([vitals(second=NOW - age) for age in ages])
    ward.store.put([wave(NOW - age) for age in ages])
    ward.store.put([bad(n, NOW - age) for n, age in enumerate(ages)])
    ward.store.put([ledger(1, (NOW - age) // 3600) for age in (DAY_S * 4, DAY_S, 0)])
    last = ward.store.last_id()
    ward.rounds()
    assert ward.keys("vitals") == [f"p1/{NOW - age}" for age in ages[1:]]
    assert ward.keys("wave") == [f"p1/mcg/{NOW - age}" for age in ages[3:]]
    assert ward.keys("bad") == ["2/0", "3/0", "4/0"]
    assert len(ward.store.ledger()) == 2
    assert ward.store.last_id() == last
    assert ward.reports() == []
    assert [row.second for row in ward.store.latest_vitals().values()] == [NOW]


def test_rows_of_beds_go_as_vitals_do_and_a_bed_that_is_told_of_stays_known(ward: Ward) -> None:
    old, young = (NOW - 3 * DAY_S) * NS, NOW * NS
    ward.store.put(
        [bed(at_ns=old), bed("p2", at_ns=old), bed(at_ns=young), vitals(second=NOW), alarm_at("a1", 0, "active", NOW)]
    )
    ward.rounds()
    assert ward.keys("bed") == [f"p1/{young}"]
    assert list(ward.store.beds()) == [("north", "p1")]


def test_age_is_told_by_the_rows_and_not_by_a_clock(ward: Ward) -> None:
    long_ago = NOW - 1000 * DAY_S
    ward.store.put([vitals(second=long_ago + n) for n in range(10)])
    ward.rounds()
    assert ward.store.count("vitals") == 10


def test_the_newest_row_stays_even_if_it_is_old_so_that_no_id_comes_twice(ward: Ward) -> None:
    ward.store.put([alarm(), vitals("p2", NOW - 5 * DAY_S)])
    ward.rounds()
    assert ward.store.last_id() == 2
    ward.store.put([vitals("p3")])
    ward.rounds()
    assert ward.keys("vitals") == [f"p3/{NOW}"]
    assert ward.store.last_id() == 3


def test_what_a_courier_has_yet_to_carry_stays_unless_it_has_not_been_seen_for_a_week(ward: Ward) -> None:
    ward.store.put([vitals(f"p{n}", NOW - 5 * DAY_S) for n in range(6)])
    ward.store.put([vitals("now")])
    ward.settle("influx", ("vitals", "alarm"), 4)
    ward.settle("webhook-pager", ("alarm",), 0)
    ward.settle("webhook-old", ("vitals",), 1, NOW - 8 * DAY_S)
    ward.rounds()
    assert ward.keys("vitals") == [f"p4/{NOW - 5 * DAY_S}", f"p5/{NOW - 5 * DAY_S}", f"now/{NOW}"]
    ward.settle("influx", ("vitals",), 6)
    ward.rounds()
    assert ward.keys("vitals") == [f"now/{NOW}"]


def test_a_courier_that_has_carried_nothing_yet_holds_everything_from_its_start(ward: Ward) -> None:
    ward.store.put([vitals(f"p{n}", NOW - 5 * DAY_S) for n in range(3)])
    ward.store.put([vitals("now")])
    ward.settle("influx", ("vitals",), 0)
    ward.rounds()
    assert ward.store.count("vitals") == 4
    assert needed_after(seen(ward.cursors), ("vitals", "wave"), 0) == {"vitals": 0}


def test_many_old_rows_go_in_small_transactions(ward: Ward) -> None:
    ward.store.put([vitals(f"p{n}", NOW - 5 * DAY_S) for n in range(3 * AT_ONCE + 7)])
    ward.store.put([vitals("now")])
    assert ward.store.retention.prune("vitals", NOW, 1 << 60) == AT_ONCE
    ward.rounds(1)
    assert ward.keys("vitals") == [f"now/{NOW}"]


def test_an_alarm_goes_as_a_whole_when_it_is_over_and_old_and_never_before(ward: Ward) -> None:
    old = NOW - 4 * DAY_S
    events = [("over", "active"), ("still", "active"), ("taken", "active"), ("late", "active"), ("missed", "missed")]
    ward.store.put([alarm_at(id_, 0, state, old) for id_, state in events])
    ward.store.put([alarm_at("over", 1, "ended", old), alarm_at("taken", 1, "acknowledged", old)])
    ward.store.put([alarm_at("late", 1, "ended", NOW), vitals()])
    ward.rounds()
    assert ward.keys("alarm") == ["still/0", "taken/0", "late/0", "taken/1", "late/1"]
    assert [event.step for event in ward.store.history("late")] == [0, 1]
    assert ward.store.history("over") == []


def left_behind(number: int, revision: int = 2) -> list[Row]:
    """A device that is gone, and the patient who wore it."""
    status = replace(device(revision, state="gone"), device=f"w{number}", patient="")
    return [status, PatientInfo("north", f"p{number}", "", (), admitted=False, revision=revision)]


def here(number: int) -> list[Row]:
    return [replace(device(), device=f"w{number}"), PatientInfo("north", f"p{number}", "", (f"w{number}",), False, 1)]


def test_who_left_goes_when_vitals_do_and_who_is_here_or_came_back_stays(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "SELDOM", 1)
    ward.store.put([row for number in range(5) for row in here(number)])
    ward.store.put([row for number in (1, 2, 3) for row in left_behind(number)])
    ward.store.put([PatientInfo("north", "p9", "bed 9", (), admitted=True, revision=1), vitals()])
    for hours in range(50):
        if hours == 1:
            ward.store.put(left_behind(4))
        if hours == 20:  # comes back
            ward.store.put([replace(device(3), device="w2")])
        ward.store.put([vitals(second=NOW + hours * 3600)])
        ward.rounds(1)
    assert {name for _, name in ward.store.devices()} == {"w0", "w2", "w4"}
    assert {name for _, name in ward.store.patients()} == {"p0", "p4", "p9"}
    ward.store.put([vitals(second=NOW + 51 * 3600)])
    ward.rounds(2)
    assert {name for _, name in ward.store.devices()} == {"w0", "w2"}
    assert ward.reports() == []


def test_who_left_stays_as_long_as_a_courier_has_yet_to_say_so(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "SELDOM", 1)
    ward.store.put([*left_behind(1), *left_behind(2), vitals()])
    ward.settle("influx", ("device", "vitals"), 2)
    for hours in range(60):
        ward.store.put([vitals(second=NOW + hours * 3600)])
        ward.rounds(1)
    assert {name for _, name in ward.store.devices()} == {"w2"}
    assert ward.store.patients() == {}


def test_devices_that_come_and_go_leave_a_store_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "SELDOM", 1)
    ward, sizes = Ward(tmp_path), list[int]()
    day = max(IDS // 12, 100)
    for hours in range(0, 12 * 24, 6):  # as many devices each day, of which each is there for six hours
        numbers = range(day * hours // 24, day * (hours + 6) // 24)
        second = NOW + hours * 3600
        ward.store.put([row for number in numbers for row in here(number)])
        ward.store.put([ledger(1, second // 3600), vitals(second=second)])
        ward.store.put([row for number in numbers for row in left_behind(number)])
        ward.rounds(2)
        sizes.append(len(ward.store.devices()) + len(ward.store.patients()) + ward.store.count("vitals"))
    assert max(sizes) == max(sizes[:16]) < 2 * day * 3
    with closing(sqlite3.connect(ward.store.path)) as db:
        (notes,) = db.execute("SELECT count(*) FROM note").fetchone()
    assert notes < 20


def test_refusals_are_counted_for_good_by_site_device_and_reason(ward: Ward) -> None:
    old = NOW - 3 * DAY_S
    ward.store.put([bad(n, old) for n in range(5)])
    ward.store.put([bad(5, NOW, count=10), bad(6, NOW, "nonsense"), vitals()])
    totals = ward.store.refusals()
    ward.rounds()
    assert ward.keys("bad") == ["5/0", "6/0"]
    assert ward.store.refusals() == totals
    assert [(one.site, one.device, one.reason, one.messages) for one in totals] == [
        ("", "(no device)", "undecodable", 1),
        ("north", "w1", "undecodable", 15),
    ]
    assert totals[1].newest.offset == 5
    # A flow that begins anew puts them again: they are known, though gone.
    assert ward.store.put([bad(n, old) for n in range(5)]) == Put(0, 5, 0, 0)
    assert ward.store.refusals() == totals


def test_a_flood_of_rubbish_is_bounded_by_count(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "BAD_MOST", 10)
    monkeypatch.setattr(keeper_module, "BAD_HELD_MOST", 20)
    ward.settle("influx", ("bad",), 12)
    ward.store.put([bad(n) for n in range(1, 16)])
    ward.rounds(1)
    assert ward.keys("bad") == [f"{n}/0" for n in range(6, 16)]
    ward.store.put([bad(n) for n in range(16, 41)])
    monkeypatch.setattr(keeper_module, "SELDOM", 1)
    ward.rounds(1)
    assert ward.keys("bad") == [f"{n}/0" for n in range(21, 41)]
    assert ward.store.refusals()[0].messages == 40


def test_rubbish_from_very_many_devices_is_counted_together(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.totals.TOTALS_MOST", 3)
    for n in range(6):
        ward.store.put([bad(n, topic=f"femtoward/v1/north/w{n}/data"), bad(10 + n)])
    assert {one.device: one.messages for one in ward.store.refusals()} == {"w0": 1, "w1": 7, "w2": 1, "(others)": 3}


def test_a_pruned_store_has_the_digest_of_what_is_left(ward: Ward, tmp_path: Path) -> None:
    rest = [vitals(second=NOW - n) for n in range(50)]
    ward.store.put([vitals("old", NOW - 5 * DAY_S - n) for n in range(50)])
    ward.store.put(rest)
    ward.rounds()
    with Store(tmp_path / "another.sqlite") as another:
        another.put(rest)
        assert ward.store.digest("vitals") == another.digest("vitals")


def test_commit_times_and_conflicts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.retention.COMMITS_MOST", 5)
    monkeypatch.setattr("dataflows.store.CONFLICTS_MOST", 3)
    with Store(tmp_path / "store.sqlite", now_ns=lambda: 1) as store:
        for n in range(20):
            store.put([vitals(), vitals(second=n, hr=float(n))])
            store.put([vitals(hr=float(n))])
        store.retention.trim()
        assert len(store.committed()) == 5
        assert store.conflict_count() == 3


def test_the_keeper_ends_at_once_and_survives_a_fault(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "ROUND_S", 0.001)
    went_round = threading.Semaphore(0)
    faults = [OSError("nothing can be read")]

    def round_(_: Keeper) -> int:
        went_round.release()
        if faults:
            raise faults.pop()
        return 0

    monkeypatch.setattr(Keeper, "round", round_)
    ward.keeper.start()
    for _ in range(3):
        assert went_round.acquire(timeout=20.0)
    ward.keeper.stop()
    assert not ward.keeper._thread.is_alive()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"vitals_days": 0}, "vitals_days"), ({"quota_bytes": 1}, "quota_bytes"), ({"stop_bytes": 3 << 30}, "stop_bytes")],
)
def test_bounds_that_keep_nothing_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Keep(**changes)  # type: ignore[arg-type]


def test_a_dead_letter_outlives_its_row(ward: Ward) -> None:
    row = Stored(1, vitals(second=NOW - 5 * DAY_S))
    ward.store.put([row.row, vitals()])
    ward.settle("influx", ("vitals",), 0)
    with closing(Cursors(ward.cursors)) as cursors:
        cursors.settle("influx", [row], 1, [Refused(row, "beyond retention policy")], 7)
        ward.rounds()
        assert [letter.key for letter in cursors.dead_letters()] == [row.row.key]
    assert ward.keys("vitals") == [f"p1/{NOW}"]
