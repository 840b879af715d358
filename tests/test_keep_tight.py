"""What a keeper takes when room runs short: waves and vitals first, ended alarms last, each told exactly once."""

from pathlib import Path

import msgspec
import pytest
from keeping import DIRE, NOW, TIGHT, Ward, alarm_at, bad
from outgoing import vitals, wave
from wire import Tape

from dataflows.events import Removal
from dataflows.fold import Fold
from dataflows.keep import DAY_S, HELD_S, YOUNG_S
from dataflows.retention import AT_ONCE, Retention
from ingest.journal import RecordKind
from ingest.notices import Removed


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_a_tight_disk_takes_old_waves_and_vitals_and_says_so(ward: Ward, left: list[int]) -> None:
    young = NOW - YOUNG_S
    ward.store.put([alarm_at("over", 0, "missed", NOW - DAY_S), bad(1, young - 60)])
    ward.store.put([row for n in (-60, -30, 30, 600) for row in (vitals(second=young + n), wave(young + n))])
    ward.store.put([vitals("silent", young - 100), vitals("now")])
    ward.rounds()
    assert ward.reports() == []
    left[0] = TIGHT
    ward.rounds(12)
    assert ward.keys("wave") == [f"p1/mcg/{NOW - YOUNG_S + n}" for n in (30, 600)]
    assert ward.keys("vitals") == [f"p1/{young + 30}", f"p1/{NOW}", f"silent/{young - 100}", f"now/{NOW}"]
    assert ward.keys("bad") == []
    assert ward.store.count("alarm") == 1
    reports = ward.reports()
    assert [(one.reporter, one.ok) for one in reports] == [("store-disk", False)] * 3
    removed = {one.removed.what: one.removed for one in reports if one.removed is not None}
    assert set(removed) == {"bad", "vitals", "wave"}
    assert (removed["wave"].first, removed["wave"].end) == (young - 60, young - 29)
    assert "2 rows" in removed["vitals"].why
    left[0] = 10 << 30
    ward.rounds(12)
    assert [(one.reporter, one.ok) for one in ward.reports()] == [("store-disk", True)]


def test_a_tight_disk_holds_what_couriers_need_for_a_day_and_a_dire_one_does_not(ward: Ward, left: list[int]) -> None:
    ward.settle("influx", ("vitals",), 0)
    ages = (HELD_S + 60, YOUNG_S + 60, 0)
    ward.store.put([vitals(f"p{n}", NOW - age) for n, age in enumerate(ages)])
    ward.store.put([vitals(f"p{n}", NOW) for n in range(4)])
    left[0] = TIGHT
    ward.rounds()
    assert ward.keys("vitals")[:2] == [f"p1/{NOW - YOUNG_S - 60}", f"p2/{NOW}"]
    [report] = ward.reports()
    assert "a courier had not carried it for a day" in report.detail
    left[0] = DIRE
    ward.rounds(12)
    assert f"p1/{NOW - YOUNG_S - 60}" not in ward.keys("vitals")
    assert any("a courier had not carried it yet" in report.detail for report in ward.reports())


def test_a_dire_disk_takes_ended_alarms_last_and_those_that_go_on_never(ward: Ward, left: list[int]) -> None:
    old = NOW - 3600
    ward.settle("webhook-pager", ("alarm",), 4)
    ids = ("over", "still", "late")
    ward.store.put([alarm_at(id_, 0, "active", old) for id_ in ids])
    ward.store.put([alarm_at("over", 1, "ended", old), alarm_at("late", 1, "ended", old)])
    ward.store.put([vitals(f"p{n}", old) for n in range(50 * AT_ONCE)])
    ward.store.put([vitals(f"p{n}", NOW) for n in range(50 * AT_ONCE)])
    left[0] = DIRE
    ward.rounds(1)
    assert ward.store.count("alarm") == 5
    assert ward.store.count("vitals") < 70 * AT_ONCE
    ward.rounds(2)
    assert ward.keys("alarm") == ["still/0", "late/0", "late/1"]  # `late` has not reached the pager yet
    assert [event.state for event in ward.store.alarms()] == ["ended", "active"]


def test_what_went_is_remembered_until_it_could_be_said(ward: Ward, left: list[int], tmp_path: Path) -> None:
    ward.store.put([wave(NOW - 3600), wave(NOW - 1800), vitals()])
    left[0] = TIGHT
    door = tmp_path / "door"
    door.rename(tmp_path / "elsewhere")
    door.touch()  # no letter can be left
    with pytest.raises(OSError, match="door"):
        ward.keeper.round()
    assert ward.store.count("wave") == 0
    door.unlink()
    Ward(tmp_path).keeper.round()  # after a restart
    [report] = Ward(tmp_path).reports()
    assert report.removed is not None
    assert report.removed == Removed(
        "wave", NOW - 3600, NOW - 1799, 566, "the disk runs short (2 rows)", report.removed.id
    )


def test_what_is_told_again_after_a_crash_has_its_id_and_what_went_since_has_another(
    tmp_path: Path, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = Ward(tmp_path)
    ward.store.put([wave(NOW - 3600), vitals()])
    left[0] = TIGHT
    with monkeypatch.context() as killed:
        killed.setattr(Retention, "reported", lambda *_: (_ for _ in ()).throw(InterruptedError))
        with pytest.raises(InterruptedError):
            ward.keeper.round()  # the letter lies in the door
    ward.store.put([wave(NOW - 1800), vitals(second=NOW + 1)])
    ward.store.close()
    again = Ward(tmp_path)
    again.rounds(12)
    reports = [report for report in again.reports() if report.removed is not None]
    first, repeated, second = (report.removed for report in reports)
    assert first == repeated
    assert second is not None
    assert (second.first, second.why) == (NOW - 1800, "the disk runs short (1 rows)")
    tape = Tape()
    for report in reports:
        tape.add(RecordKind.REPORT, "", msgspec.json.encode(report))
    fold, told = Fold(1), list[Removal]()
    for record in tape.records:
        told += [row for _, row in fold.feed([record]) if isinstance(row, Removal)]
        image, fold = fold.image(), Fold(1)
        fold.restore(Fold.VERSION, image)
    assert [(row.first, row.end) for row in told] == [(NOW - 3600, NOW - 3599), (NOW - 1800, NOW - 1799)]


def test_space_comes_back_to_the_file_system(tmp_path: Path, left: list[int]) -> None:
    ward = Ward(tmp_path)
    for n in range(20):
        ward.store.put([wave(NOW - 3600 - m) for m in range(n * 1000, (n + 1) * 1000)])
    ward.store.put([vitals()])
    before = sum(file.stat().st_size for file in tmp_path.glob("store.sqlite*"))
    left[0] = TIGHT
    ward.rounds(8)
    after = sum(file.stat().st_size for file in tmp_path.glob("store.sqlite*"))
    assert ward.store.count("wave") == 0
    assert after < before / 10
