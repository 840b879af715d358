"""An old request that a receiver works on late must not have the last word: what is in doubt is delivered once more."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from carrying import FAST, Place, Recorder, carrying
from outgoing import alarm, ledger
from servers import eventually

from dataflows.couriers.cursors import Cursors, Refused
from dataflows.couriers.delivery import DeliveryFailed
from dataflows.events import Ledger
from dataflows.store import Stored


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Overtaken:
    """A receiver that works on a request whose answer it owes only after a newer one, as one that hung may."""

    def __init__(self) -> None:
        self.holds: dict[str, int] = {}
        self.stuck: list[Stored] = []

    def act(self, rows: Sequence[Stored]) -> Sequence[Refused]:
        newest = {row.row.key: row.row.revision for row in rows if isinstance(row.row, Ledger)}
        if not self.stuck:
            self.stuck = list(rows)
            raise DeliveryFailed("not answered in time")
        self.holds |= newest
        return ()

    def work_on_what_is_stuck(self) -> None:
        self.holds |= {row.row.key: row.row.revision for row in self.stuck if isinstance(row.row, Ledger)}


def test_a_row_that_an_old_request_overwrote_is_delivered_once_more_even_after_a_restart(place: Place) -> None:
    receiver = Overtaken()

    def courier() -> Recorder:
        one = Recorder(receiver.act, batch=10)
        one.kinds = one.revised = ("ledger",)
        return one

    place.put(ledger(1))
    with carrying(place, first := courier(), pace=FAST._replace(sure_s=3600.0)):
        first.wait_for(1)
        place.put(ledger(2, stored=20))
        first.wait_for(2)
        assert receiver.holds == {ledger().key: 2}
        receiver.work_on_what_is_stuck()
        assert receiver.holds == {ledger().key: 1}  # not what the store says
    with closing(Cursors(place.cursors)) as cursors:
        assert cursors.doubt("recorder") == 0
    with carrying(place, second := courier(), pace=FAST._replace(sure_s=0.01)):
        second.wait_for(1)
        eventually(lambda: _doubt(place) is None)
    assert receiver.holds == {ledger().key: 2}


def _doubt(place: Place) -> int | None:
    with closing(Cursors(place.cursors)) as cursors:
        return cursors.doubt("recorder")


def test_rows_in_doubt_are_delivered_once_more_after_a_failure_without_a_restart(place: Place) -> None:
    receiver = Overtaken()
    one = Recorder(receiver.act, batch=10)
    one.kinds, one.revised = ("alarm", "ledger"), ("ledger",)
    place.put(ledger(1), alarm())
    with carrying(place, one, pace=FAST._replace(sure_s=0.2)):
        assert sorted(one.wait_for(3)) == ["a1/0", ledger().key, ledger().key]
        place.put(alarm("a2"))
        assert one.wait_for(4)[3:] == ["a2/0"]  # and not for ever
