"""How far the flow is behind: told once a second, ready only once it has caught up, and lost records on record."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import Gauge

from dataflows.metrics import BEHIND, CATCHING_UP
from dataflows.progress import Progress
from ingest.beacon import Beacon
from ingest.door import Door
from ingest.journal import Journal, RecordKind
from ingest.notices import Report
from ingest.source import Reading

S = 10**9
NOW_S = 2_000


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def monotonic_s(self) -> float:
        return self.s

    def now_ns(self) -> int:
        return int((NOW_S + self.s) * S)


def _value(gauge: Gauge) -> float:
    (metric,) = gauge.collect()
    return metric.samples[0].value


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "main" / "journal"
    with Journal(path, now_ns=lambda: NOW_S * S) as journal:
        journal.append([(RecordKind.TICK, "", b"")] * 4000)
    return path


def test_a_flow_that_is_far_behind_says_how_far_once_a_second_and_is_ready_only_at_the_end(journal: Path) -> None:
    clock, beacon, said = Clock(), Beacon(), list[str]()
    progress = Progress({"main": journal}, beacon, said.append, now_ns=clock.now_ns, monotonic_s=clock.monotonic_s)
    assert beacon.state().detail == "starting"
    for batch in range(4):  # a second's worth of work, 100 s old, and so on
        progress.on_read(
            "main", Reading(500, 500 * (batch + 1), (1900 + 20 * batch) * S, (1920 + 20 * batch) * S, False)
        )
        clock.s += 0.5
    assert said == [
        "catching up: 0 of 4,000 records",
        "catching up: 1,000 of 4,000 records, 40 x real time, 3 s left",
    ]
    assert (beacon.state().ready, beacon.state().detail) == (False, said[-1])
    assert _value(CATCHING_UP) == 1.0
    assert _value(BEHIND) == pytest.approx(21.5)
    progress.on_read("main", Reading(500, 2500, 1980 * S, 1999 * S + S, False))  # 2 s ago: still more, and still behind
    assert not beacon.state().ready
    progress.on_read("main", Reading(500, 3000, 2000 * S, 2001 * S, False))
    assert beacon.state().ready
    assert _value(CATCHING_UP) == _value(BEHIND) == 0.0


def test_old_records_before_a_silence_of_ingest_do_not_make_a_flow_behind(journal: Path) -> None:
    clock, beacon = Clock(), Beacon()
    progress = Progress({"main": journal}, beacon, now_ns=clock.now_ns, monotonic_s=clock.monotonic_s)
    progress.on_read("main", Reading(7, 7, 100 * S, 101 * S, True))
    assert beacon.state().ready


def test_it_is_ready_only_when_every_journal_was_looked_into(journal: Path) -> None:
    beacon = Beacon()
    progress = Progress({"main": journal, "annex": journal}, beacon)
    progress.on_read("main", Reading(0, 0, 0, 0, True))
    assert not beacon.state().ready
    progress.on_read("annex", Reading(0, 0, 0, 0, True))
    assert beacon.state().ready


def test_records_that_somebody_removed_unread_are_told_to_the_ward(journal: Path) -> None:
    Progress({"main": journal}).on_lost("main", 20, 300)
    letters = Door(journal.parent / "door").take(10)
    reports = [msgspec.json.decode(letter.payload, type=Report) for letter in letters]
    assert [(report.reporter, report.ok) for report in reports] == [("flow", False), ("flow", True)]
    assert reports[0].detail == "records 20 to 299 of the journal were removed before the flow had worked them through"
