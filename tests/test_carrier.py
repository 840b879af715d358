"""What every courier shares: order, retries, durable cursors, dead letters, reports, lanes and back-off."""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from carrying import FAST, Place, Recorder, Reports, carrying
from outgoing import alarm, ledger, vitals
from prometheus_client import REGISTRY
from receiver import WAIT_S
from servers import eventually

from dataflows.couriers import carrier
from dataflows.couriers.carrier import MOST_WAITING, Carrier
from dataflows.couriers.cursors import Cursors, Refused, seen
from dataflows.couriers.delivery import DeliveryFailed, ReceiverGone
from dataflows.couriers.lanes import Lanes
from dataflows.store import Stored


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_rows_are_carried_in_order_and_the_cursor_follows(place: Place) -> None:
    courier = Recorder()
    with carrying(place, courier):  # the store is not there yet
        place.put(alarm("a1"), vitals(), alarm("a2"))
        place.put(alarm("a1", 1), ledger())
        assert courier.wait_for(3) == ["a1/0", "a2/0", "a1/1"]
    assert place.settled() == 4
    with carrying(place, courier):
        place.put(alarm("a3"))
        assert courier.wait_for(4)[3:] == ["a3/0"]


def test_a_row_that_fails_holds_up_its_own_alarm_only(place: Place) -> None:
    well = threading.Event()

    def act(rows: Sequence[Stored]) -> Sequence[Refused]:
        if rows[0].row.key == "a1/0" and not well.is_set():
            raise DeliveryFailed("not now")
        return ()

    courier = Recorder(act)
    place.put(alarm("a1"), alarm("a1", 1), alarm("a2"), alarm("a3"))
    with carrying(place, courier):
        assert courier.wait_for(2) == ["a2/0", "a3/0"]
        assert place.settled() == 0  # never ahead of what waits
        well.set()
        assert courier.wait_for(4) == ["a2/0", "a3/0", "a1/0", "a1/1"]
    assert place.settled() == 4


def test_what_was_delivered_ahead_of_a_waiting_row_is_not_delivered_again_after_a_restart(place: Place) -> None:
    def act(rows: Sequence[Stored]) -> Sequence[Refused]:
        if rows[0].row.key.startswith("a1/"):
            raise DeliveryFailed("not now")
        return ()

    first, second = Recorder(act), Recorder()
    place.put(alarm("a1"), alarm("a2"), alarm("a3"))
    with carrying(place, first):
        first.wait_for(2)
    with carrying(place, second):
        place.put(alarm("a4"))
        assert second.wait_for(2) == ["a1/0", "a4/0"]
    assert place.settled() == 4


def test_a_refused_row_becomes_a_dead_letter_and_the_others_go_on(place: Place) -> None:
    courier = Recorder(lambda rows: [Refused(row, "poison") for row in rows if row.row.key == "a1/1"], batch=3)
    place.put(alarm("a1"), alarm("a1", 1), alarm("a1", 2), alarm("a2"))
    with carrying(place, courier):
        courier.wait_for(4)
    assert place.settled() == 4
    with closing(Cursors(place.cursors)) as cursors:
        [letter] = cursors.dead_letters("recorder")
        assert cursors.dead_letters("another") == []
        assert cursors.dead_letters() == [letter]
    assert (letter.row_id, letter.kind, letter.site, letter.key, letter.reason) == (
        2,
        "alarm",
        "north",
        "a1/1",
        "poison",
    )


def test_a_row_is_given_up_after_a_day_of_trying_even_across_restarts(place: Place) -> None:
    leap_s = [0.0]
    tried = threading.Semaphore(0)

    def act(rows: Sequence[Stored]) -> Sequence[Refused]:
        if rows[0].row.key == "a1/0":
            tried.release()
            raise DeliveryFailed("receiver answers 500")
        return ()

    def forget_attempts() -> None:
        while tried.acquire(blocking=False):
            pass

    def try_for_twelve_hours(*, last: bool) -> list[str]:
        courier = Recorder(act, give_up_s=86_400.0)
        stopping = threading.Event()
        carrier = Carrier(
            courier, place.store, place.cursors, Reports(), FAST, now_s=lambda: time.monotonic() + leap_s[0]
        )
        thread = threading.Thread(target=carrier.run, args=(stopping,))
        forget_attempts()
        thread.start()
        for _ in range(2):  # with the second attempt the first one is noted
            assert tried.acquire(timeout=WAIT_S)
        leap_s[0] += 43_200.0
        if not last:
            forget_attempts()
            for _ in range(2):
                assert tried.acquire(timeout=WAIT_S)
        courier.wait_for(1)
        stopping.set()
        thread.join(WAIT_S)
        with closing(Cursors(place.cursors)) as cursors:
            return [letter.reason for letter in cursors.dead_letters()]

    place.put(alarm("a1"), alarm("a2"))
    assert try_for_twelve_hours(last=False) == []
    assert place.settled() == 0
    place.put(alarm("a1", 1))
    assert try_for_twelve_hours(last=True) == ["given up after 24.0 h: receiver answers 500"]
    assert place.settled() == 3


def test_a_courier_that_fails_is_reported_once_and_again_when_it_delivers(place: Place) -> None:
    well = threading.Event()

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        if not well.is_set():
            raise DeliveryFailed("nobody answers")
        return ()

    courier, reports = Recorder(act), Reports()
    place.put(alarm("a1"), alarm("a2"))
    with carrying(place, courier, reports):
        assert reports.wait_for(1) == [("recorder", False, "nobody answers")]
        well.set()
        courier.wait_for(2)
        assert reports.wait_for(2)[1:] == [("recorder", True, "delivers again")]
    assert len(reports.said) == 2


def test_a_report_outlives_a_restart_and_is_taken_back_then(place: Place) -> None:
    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        raise DeliveryFailed("nobody answers")

    before, after = Reports(), Reports()
    place.put(alarm("a1"))
    with carrying(place, Recorder(act), before):
        before.wait_for(1)
    with carrying(place, Recorder(), after):
        assert after.wait_for(1) == [("recorder", True, "delivers again")]


def test_a_receiver_that_is_gone_gets_nothing_more_for_long_or_until_a_restart(place: Place) -> None:
    asked = []

    def act(rows: Sequence[Stored]) -> Sequence[Refused]:
        asked.append(rows[0].row.key)
        raise ReceiverGone("410")

    reports = Reports()
    place.put(alarm("a1"), alarm("a2"))
    with carrying(place, Recorder(act), reports):
        assert reports.wait_for(1) == [("recorder", False, "410")]
    assert asked == ["a1/0"]
    courier = Recorder()
    with carrying(place, courier):
        assert courier.wait_for(2) == ["a1/0", "a2/0"]


def test_a_receiver_that_was_gone_is_asked_again_and_that_it_was_and_is_not_is_said(place: Place) -> None:
    asked, answers = [], [DeliveryFailed("500"), ReceiverGone("410"), ReceiverGone("410")]

    def act(rows: Sequence[Stored]) -> Sequence[Refused]:
        asked.append(rows[0].row.key)
        if answers:
            raise answers.pop(0)
        return ()

    courier, reports = Recorder(act), Reports()
    place.put(alarm("a1"))
    with carrying(place, courier, reports, FAST._replace(report_after_s=0.0, gone_s=0.01)):
        assert courier.wait_for(1) == ["a1/0"]
        said = reports.wait_for(3)
    assert asked == ["a1/0"] * 4
    assert said == [("recorder", False, "500"), ("recorder", False, "410"), ("recorder", True, "delivers again")]


def test_a_courier_whose_receiver_stays_gone_is_not_seen_and_lives(place: Place) -> None:
    times: list[int] = []

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        times.append(seen(Path(place.cursors))[0].seen_ns)
        raise ReceiverGone("410")

    place.put(alarm("a1"))
    with carrying(place, Recorder(act), pace=FAST._replace(gone_s=0.01)):
        eventually(lambda: len(times) >= 3)
    assert len(set(times)) == 1


def test_a_fault_of_our_own_is_retried_like_any_failure(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    faults = [ZeroDivisionError("ours")]

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        if faults:
            raise faults.pop()
        return ()

    courier = Recorder(act)
    place.put(alarm("a1"))
    with carrying(place, courier):
        courier.wait_for(1)
    assert "ZeroDivisionError: ours" in caplog.text


def test_a_store_that_was_replaced_is_reported_and_not_skipped_over(place: Place) -> None:
    courier, reports = Recorder(), Reports()
    place.put(alarm("a1"), alarm("a2"))
    with carrying(place, courier):
        courier.wait_for(2)
    for suffix in ("", "-wal", "-shm"):
        Path(place.store + suffix).unlink(missing_ok=True)
    place.put(alarm("b1"))
    with carrying(place, courier, reports):
        [(_, ok, detail)] = reports.wait_for(1)
    assert not ok
    assert "the store was replaced" in detail


def test_a_courier_waits_as_long_as_its_receiver_asks(place: Place) -> None:
    clock_s = [100.0]
    tried: list[float] = []

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        tried.append(clock_s[0])
        if len(tried) == 1:
            raise DeliveryFailed("too many requests", retry_after_s=30.0)
        return ()

    courier, stopping = Recorder(act), threading.Event()
    carrier = Carrier(courier, place.store, place.cursors, Reports(), FAST, now_s=lambda: clock_s[0])
    thread = threading.Thread(target=carrier.run, args=(stopping,))
    place.put(alarm())
    thread.start()
    eventually(lambda: carrier.health.why_not)
    clock_s[0] += 29.9
    eventually(lambda: carrier.health.round_s == clock_s[0])  # it went round, and let be
    assert tried == [100.0]
    clock_s[0] += 0.2
    courier.wait_for(1)
    stopping.set()
    thread.join(WAIT_S)
    assert tried == [100.0, 130.1]


def test_rows_wait_for_each_other_no_longer_than_the_courier_lingers(place: Place) -> None:
    clock_s = [100.0]
    batches: list[int] = []

    def act(rows: Sequence[Stored]) -> Sequence[Refused]:
        batches.append(len(rows))
        return ()

    courier = Recorder(act, batch=4)
    courier.linger_s = 0.5
    courier.lane = lambda row: ""  # type: ignore[method-assign]  # noqa: ARG005  # one for all
    stopping = threading.Event()
    carrier = Carrier(courier, place.store, place.cursors, Reports(), FAST, now_s=lambda: clock_s[0])
    thread = threading.Thread(target=carrier.run, args=(stopping,))
    place.put(*[alarm(f"a{n}") for n in range(6)])
    thread.start()
    courier.wait_for(4)  # a batch is full
    eventually(lambda: place.settled() == 4)
    clock_s[0] += 0.4
    assert batches == [4]
    clock_s[0] += 0.2
    courier.wait_for(6)
    place.put(alarm("a6"))
    stopping.set()
    thread.join(WAIT_S)
    assert batches == [4, 2, 1]  # nothing lingers at the end


def test_a_report_that_cannot_be_left_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "SAY_AGAIN_S", 0.2)
    faults = [OSError("the disk is full")]
    reports = Reports()

    def report(courier: str, ok: bool, detail: str) -> None:  # noqa: FBT001 - the shape of Report
        if faults:
            raise faults.pop()
        reports(courier, ok, detail)

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        raise DeliveryFailed("nobody answers")

    place.put(alarm())
    stopping = threading.Event()
    thread = threading.Thread(
        target=Carrier(Recorder(act), place.store, place.cursors, report, FAST).run, args=(stopping,)
    )
    thread.start()
    assert reports.wait_for(1) == [("recorder", False, "nobody answers")]
    assert not faults
    stopping.set()
    thread.join(WAIT_S)


def test_a_wait_does_not_grow_in_memory_however_long_the_backlog(place: Place) -> None:
    gate = threading.Event()

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        if not gate.is_set():
            raise DeliveryFailed("nobody answers")
        return ()

    place.put(*[alarm(f"a{n}") for n in range(5000)])
    courier, reports = Recorder(act, batch=500), Reports()
    courier.lane = lambda row: ""  # type: ignore[method-assign]  # noqa: ARG005  # one for all, as to InfluxDB
    most = 0
    add = Lanes.add

    def watched(lanes: Lanes, rows: Iterable[Stored], now_s: float) -> None:
        nonlocal most
        add(lanes, rows, now_s)
        most = max(most, len(lanes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lanes, "add", watched)
        with carrying(place, courier, reports):
            reports.wait_for(1)
            assert most == MOST_WAITING
            gate.set()
            courier.wait_for(5000)
    assert place.settled() == 5000


def test_a_courier_says_how_it_is(place: Place) -> None:
    well = threading.Event()

    def act(_: Sequence[Stored]) -> Sequence[Refused]:
        if not well.is_set():
            raise DeliveryFailed("nobody answers")
        return ()

    stopping = threading.Event()
    courier = Recorder(act)
    carrier = Carrier(courier, place.store, place.cursors, Reports(), FAST)
    thread = threading.Thread(target=carrier.run, args=(stopping,))
    thread.start()
    eventually(lambda: carrier.health.why_not == "")  # nothing to do
    place.put(alarm())
    eventually(lambda: carrier.health.why_not == "recorder: nobody answers")
    well.set()
    eventually(lambda: carrier.health.why_not == "")
    stopping.set()
    thread.join(WAIT_S)
    assert [one.courier for one in seen(Path(place.cursors))] == ["recorder"]
    assert REGISTRY.get_sample_value("femtoward_courier_delivered_total", {"courier": "recorder"})
    assert REGISTRY.get_sample_value("femtoward_courier_backlog_rows", {"courier": "recorder"}) is not None
