"""A courier that is told to stop delivers what it can at once, also past a file that is busy for a moment."""

import sqlite3
import threading
from pathlib import Path

import pytest
from carrying import FAST, Place, Recorder, Reports
from outgoing import alarm

from dataflows.couriers.carrier import Carrier
from dataflows.couriers.cursors import Cursors


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_is_in_the_store_when_stopping_comes_is_still_delivered(place: Place) -> None:
    place.put(*[alarm(f"a{n}") for n in range(300)])
    courier = Recorder(batch=7)
    stopping = threading.Event()
    stopping.set()
    Carrier(courier, place.store, place.cursors, Reports(), FAST).run(stopping)
    assert len(courier.delivered) == 300
    assert place.settled() == 300


def test_a_file_that_is_busy_for_a_moment_keeps_nothing_from_being_drained(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(*[alarm(f"a{n}") for n in range(20)])
    courier, stopping, tries = Recorder(), threading.Event(), iter(range(3))

    def settled(self: Cursors, name: str) -> int:
        if next(tries, None) is not None:
            raise sqlite3.OperationalError("database is locked")
        return ask(self, name)

    ask = Cursors.settled
    monkeypatch.setattr(Cursors, "settled", settled)
    stopping.set()
    Carrier(courier, place.store, place.cursors, Reports(), FAST).run(stopping)
    assert len(courier.delivered) == 20


def test_a_store_that_will_not_do_ends_the_drain_at_once(place: Place) -> None:
    Path(place.store).write_bytes(b"no store" * 1000)
    stopping = threading.Event()
    stopping.set()
    pace = FAST._replace(drain_s=1e9)
    Carrier(Recorder(), place.store, place.cursors, Reports(), pace).run(stopping)  # returns
