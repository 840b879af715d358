"""Cursors on a full disk: progress is kept in memory, known after a start, and written when there is room."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from carrying import Place
from outgoing import alarm
from receiver import WAIT_S

from dataflows.couriers.cursors import Cursors, Refused
from dataflows.store import Stored


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _no_more_room(cursors: Cursors) -> None:
    cursors._db.execute("VACUUM")
    (pages,) = cursors._db.execute("PRAGMA page_count").fetchone()
    cursors._db.execute(f"PRAGMA max_page_count = {pages}")


def test_on_a_full_disk_progress_is_kept_in_memory_and_written_when_there_is_room(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    many = [Stored(id_, alarm(f"a{id_}")) for id_ in range(1, 400)]
    with closing(Cursors(place.cursors)) as cursors, closing(Cursors(place.cursors)) as other:
        cursors.see("pager", ("alarm",), 1)
        cursors.settle("pager", many[:2], 2, (), 0)
        _no_more_room(cursors)
        for row in many[4:]:  # ahead of row 3: one entry each, until the file is full
            cursors.settle("pager", [row], 2, [Refused(row, "poison" * 10)], 0)
        assert cursors.failed("pager", 3, 0) == 0
        assert cursors.failed("pager", 3, 17) == 17
        assert cursors.ahead("pager") == {row.id for row in many[4:]}
        assert len(other.ahead("pager")) < len(many) - 4
        cursors._db.execute("PRAGMA max_page_count = 1000000")
        cursors.flush()
        assert other.ahead("pager") == cursors.ahead("pager") == {row.id for row in many[4:]}
        assert len(other.dead_letters()) == len(many) - 4
        cursors.settle("pager", many[2:4], many[-1].id, (), 0)
        assert (other.settled("pager"), other.ahead("pager")) == (many[-1].id, set())
    assert caplog.text.count("kept in memory") == 1


def test_couriers_that_start_on_a_full_disk_know_how_far_they_were(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Cursors(place.cursors)) as cursors:
        cursors.see("pager", ("alarm",), 1)
        cursors.settle("pager", (), 7, (), 0)
    full = sqlite3.OperationalError("disk I/O error")
    full.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE

    def refuse(_: Path) -> sqlite3.Connection:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr("dataflows.couriers.cursors._open", refuse)
        cursors = Cursors(place.cursors)
        assert cursors.settled("pager") == 7
        cursors.settle("pager", (), 9, (), 0)
        assert cursors.settled("pager") == 9
    cursors.close()
    assert place.settled("pager") == 9


def test_couriers_may_all_make_their_file_at_the_same_instant(tmp_path: Path) -> None:
    for time in range(20):
        place, at_once = Place(tmp_path / str(time)), threading.Barrier(8)

        def make(place: Place = place, at_once: threading.Barrier = at_once) -> None:
            at_once.wait(WAIT_S)
            Cursors(place.cursors).close()

        with ThreadPoolExecutor(8) as pool:
            for made in [pool.submit(make) for _ in range(8)]:
                made.result(WAIT_S)
