"""What hurries an alarm up the ladder: that nobody was told of it, or nobody looked."""

from pathlib import Path

import pytest
from carrying import Place
from msgspec.structs import replace
from outgoing import NS, alarm

from dataflows.couriers.haste import Haste, Patience, hastens_at
from dataflows.couriers.receipts import Receipt, Receipts
from dataflows.couriers.webhook import WebhookOptions
from dataflows.store import Store
from ingest.command import Hasten
from ingest.documents import decode_command
from ingest.door import Door


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_alarm_that_nobody_of_its_rung_was_told_of_or_looked_at_climbs_once(place: Place, tmp_path: Path) -> None:
    receivers = tuple(
        WebhookOptions(name=name, url="https://h/", rung=rung) for name, rung in (("a", 0), ("b", 0), ("head", 1))
    )
    left: list[tuple[str, str]] = []
    haste = Haste(
        place.store, place.cursors, receivers, Patience(15.0, 60.0), lambda e, _, why: left.append((e.id, why))
    )
    ns = alarm().arrival_ns

    def look(at_s: float) -> list[tuple[str, str]]:
        left.clear()
        with Store(place.store, readonly=True) as store:
            haste.look(store, ns + round(at_s * NS))
        return left

    place.put(alarm("told"), alarm("untold"), alarm("seen"), alarm("answered"), alarm("answered", 1, "acknowledged"))
    with Receipts(place.cursors) as kept:
        for id_ in ("told", "seen"):
            kept.note(Receipt("b", "north", id_, 0, "delivered", ns))
        kept.note(Receipt("b", "north", "seen", 0, "seen", ns))
    assert look(0.0) == look(14.0) == []
    assert look(15.0) == [("untold", "not delivered to a, b within 15 s")]
    assert look(16.0) == []
    assert look(60.0) == [("told", "not seen by a, b within 60 s")]
    place.put(replace(alarm("told", 1), level=1, arrival_ns=ns + 60 * NS))
    assert look(61.0) == []
    assert look(100.0) == [("told", "not delivered to head within 15 s")]
    haste.leave = hastens_at(str(tmp_path / "door"))
    haste.leave(alarm("told"), 4, "nobody")
    [letter] = Door(tmp_path / "door").take(9)
    assert letter.topic == "femtoward/v1/north/ward/cmd/couriers"
    command = decode_command(letter.payload)
    assert command == Hasten(id="hasten-told-0-4", note="nobody", patient="p1", alarm="told")


def test_an_alarm_that_stands_again_after_an_answer_is_hurried_again(place: Place) -> None:
    receivers = (WebhookOptions(name="a", url="https://h/"),)
    left: list[tuple[str, int]] = []
    haste = Haste(place.store, place.cursors, receivers, Patience(15.0), lambda e, step, _: left.append((e.id, step)))
    ns = alarm().arrival_ns
    place.put(alarm())
    with Receipts(place.cursors) as kept, Store(place.store) as store:
        haste.look(store, ns)
        haste.look(store, ns + 15 * NS)
        assert left == [("a1", 0)]
        kept.note(Receipt("a", "north", "a1", 1, "delivered", ns + 20 * NS))
        store.put([alarm(step=1, state="acknowledged"), replace(alarm(step=2), arrival_ns=ns + 100 * NS)])
        store.put([replace(alarm(step=3), change="commented", arrival_ns=ns + 105 * NS)])
        haste.look(store, ns + 110 * NS)
        haste.look(store, ns + 116 * NS)  # what was delivered before the answer says nothing of it
        assert left == [("a1", 0), ("a1", 2)]
        kept.note(Receipt("a", "north", "a1", 2, "delivered", ns + 117 * NS))
        haste.look(store, ns + 300 * NS)
        assert len(left) == 2


def test_a_crowd_is_hurried_by_what_is_high_and_few_at_a_time(place: Place) -> None:
    receivers = (WebhookOptions(name="a", url="https://h/"),)
    left: list[str] = []
    haste = Haste(place.store, place.cursors, receivers, Patience(15.0), lambda e, *_: left.append(e.id))
    ns = alarm().arrival_ns
    with Receipts(place.cursors), Store(place.store) as store:
        store.put([alarm(f"m{n:02}", priority="medium") for n in range(30)])
        store.put([alarm(f"h{n:02}") for n in range(25)])
        store.put([replace(alarm(f"w{n}"), within="ward") for n in range(3)])
        haste.look(store, ns)
        for second in (15, 16, 17):
            haste.look(store, ns + second * NS)
    high = [f"h{n:02}" for n in range(25)]
    assert left == high  # the 30 others are a crowd by themselves


def test_who_waits_for_a_courier_that_works_is_not_hurried_unless_it_is_high(place: Place) -> None:
    receivers = (WebhookOptions(name="a", url="https://h/"),)
    left: list[str] = []
    haste = Haste(place.store, place.cursors, receivers, Patience(15.0), lambda e, *_: left.append(e.id))
    ns = alarm().arrival_ns
    with Receipts(place.cursors) as kept, Store(place.store) as store:
        store.put([alarm("medium", priority="medium"), alarm("high")])
        kept.note(Receipt("a", "north", "another", 0, "delivered", ns + 10 * NS))
        haste.look(store, ns)
        haste.look(store, ns + 15 * NS)
        assert left == ["high"]
        haste.look(store, ns + 25 * NS)
        assert left == ["high", "medium"]
