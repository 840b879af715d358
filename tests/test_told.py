"""Who is told of an alarm, and when: rungs, quiet hours, shifts, superseded events, dead letters, receipts."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from carrying import FAST, Place, Reports, running_until_then
from commandline import command_line, refused
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from outgoing import NS, alarm
from receiver import SECRET, Delivery, Receiver
from servers import eventually

from dataflows.couriers import carrier, letters
from dataflows.couriers.breaker import LONGEST_S, TRIES, Breaker
from dataflows.couriers.carrier import Carrier
from dataflows.couriers.cursors import Cursors
from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.duty import DAYS, Duty, Shift, begins, ends, span_of
from dataflows.couriers.lanes import BackOff
from dataflows.couriers.links import LinkOptions, Links
from dataflows.couriers.receipts import receipts
from dataflows.couriers.webhook import WebhookCourier, WebhookOptions
from dataflows.events import AlarmEvent, AlarmState, Priority
from dataflows.store import Stored

VARIABLE = "WARD_SECRET"
NIGHT = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # a Sunday


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.setattr(carrier, "LOOK_S", 0.01)
    monkeypatch.setattr(letters, "EVERY_S", 0.01)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Clock:
    """Wall clock of a courier."""

    def __init__(self, now: datetime = NIGHT) -> None:
        self.now_ns = round(now.timestamp()) * NS

    def __call__(self) -> int:
        return self.now_ns

    def go_to(self, when: datetime) -> None:
        self.now_ns = round(when.timestamp()) * NS


@contextmanager
def telling(
    place: Place,
    receiver: Receiver,
    clock: Clock | None = None,
    report: Reports | None = None,
    duty: Duty | None = None,
    links: Links | None = None,
    **options: Any,  # noqa: ANN401 - of the receiver
) -> Iterator[None]:
    """Carry events to a receiver while the block runs."""
    told = WebhookOptions(name="pager", url=receiver.url, secret_env=VARIABLE, allow_local=True, **options)
    courier = WebhookCourier(told, duty=duty, links=links)
    one = Carrier(courier, place.store, place.cursors, report or Reports(), FAST, now_ns=clock or Clock())
    with running_until_then(one.run):
        yield


def pause(id_: str, step: int = 0, state: AlarmState = "active", priority: Priority = "low") -> AlarmEvent:
    """An event that may wait."""
    return replace(alarm(id_, step, state, priority), condition="pause")


def steps(came: Sequence[Delivery]) -> list[str]:
    return [f"{one.data['id']}/{one.data['step']}" for one in came]


# When somebody may be disturbed


@given(
    st.integers(0, 14 * 24 * 60), st.integers(0, 1439), st.integers(0, 1439), st.sets(st.sampled_from(DAYS), min_size=1)
)
def test_a_span_ends_when_it_no_longer_holds_and_begins_when_it_does(
    minute: int, start: int, end: int, days: set[str]
) -> None:
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    spans = [span_of(text, sorted(days))]  # type: ignore[arg-type]
    now, zone = datetime(2026, 3, 25, tzinfo=UTC) + timedelta(minutes=minute), ZoneInfo("Europe/Vienna")
    over = ends(spans, now, zone)
    next_ = begins(spans, now, zone)
    if over is None:  # it does not hold: and until the next one begins nothing does
        assert next_ > now
        assert ends(spans, next_ - timedelta(seconds=1), zone) is None
        assert ends(spans, next_, zone) is not None
    else:
        assert next_ == now < over
        assert over - now > timedelta(days=7) or ends(spans, over, zone) is None


def test_quiet_hours_are_by_the_clock_on_the_wall_also_when_that_is_set() -> None:
    quiet = Duty.of("22:00-07:00", zone="Europe/Vienna")
    before = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)  # 23:30 in Vienna; at 2:00 the clocks go forward
    due_ns = quiet.due_ns(round(before.timestamp()) * NS, loud=False)
    assert datetime.fromtimestamp(due_ns / NS, UTC) == datetime(2026, 3, 29, 5, 0, tzinfo=UTC)
    assert quiet.due_ns(round(before.timestamp()) * NS, loud=True) == 0


def test_a_team_is_told_in_its_shifts_even_of_what_is_high() -> None:
    plan = (Shift(team="day", hours="07:00-19:00"), Shift(team="night", hours="19:00-07:00"))
    now_ns = round(NIGHT.timestamp()) * NS
    assert Duty.of("", "night", plan).due_ns(now_ns, loud=True) == 0
    due_ns = Duty.of("", "day", plan).due_ns(now_ns, loud=True)
    assert datetime.fromtimestamp(due_ns / NS, UTC) == datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    assert Duty.of("", "", plan).due_ns(now_ns, loud=False) == 0
    with pytest.raises(ValueError, match="team 'late' has no shift"):
        Duty.of("", "late", plan)
    with pytest.raises(ValueError, match="zone 'Mars/Base' is not known"):
        Duty.of("", zone="Mars/Base")


# What is held


def test_low_waits_for_the_end_of_quiet_hours_and_high_does_not(place: Place) -> None:
    clock = Clock()
    with Receiver() as receiver:
        place.put(pause("low"), alarm("high"), pause("over", priority="medium"))
        place.put(pause("low", 1), pause("over", 1, "ended", priority="medium"))
        with telling(place, receiver, clock, quiet="22:00-07:00"):
            receiver.wait_for(lambda came: len(came) >= 1)
            eventually(lambda: place.settled("webhook-pager") == 5)
        assert steps(receiver.deliveries) == ["high/0"]
        clock.go_to(NIGHT + timedelta(hours=8))
        place.put(pause("next"))
        with telling(place, receiver, clock, quiet="22:00-07:00"):  # a restart forgets nothing that is held
            came = receiver.wait_for(lambda came: len(came) >= 4)
        assert {one.type for one in came} == {"alarm.active", "alarm.ended"}
        assert sorted(steps(came)) == ["high/0", "low/1", "next/0", "over/1"]
    assert place.settled("webhook-pager") == 6


def test_what_came_and_went_in_quiet_hours_is_summed_up_in_one_message(place: Place) -> None:
    clock = Clock()
    with Receiver() as receiver:
        for n in range(5):
            place.put(pause(f"a{n}"), pause(f"a{n}", 1, "ended"))
        with telling(place, receiver, clock, quiet="22:00-07:00"):
            eventually(lambda: place.settled("webhook-pager") == 10)
            clock.go_to(NIGHT + timedelta(hours=8))
            [one] = receiver.wait_for(lambda came: len(came) >= 1)
    assert one.type == "alarms.passed"
    assert one.verified
    assert json.loads(one.body)["data"] == [{"condition": "pause", "priority": "low", "alarms": 5}]
    with closing(Cursors(place.cursors)) as cursors:
        assert cursors.held("webhook-pager") == {}


def test_what_gets_worse_in_quiet_hours_is_told_at_once_and_what_was_held_of_it_never(place: Place) -> None:
    clock = Clock()
    with Receiver() as receiver, telling(place, receiver, clock, quiet="22:00-07:00"):
        place.put(pause("a1"))
        eventually(lambda: place.settled("webhook-pager") == 1)
        place.put(pause("a1", 1, priority="high"))
        receiver.wait_for(lambda came: len(came) >= 1)
        clock.go_to(NIGHT + timedelta(hours=8))
        place.put(pause("a1", 2, "ended"))
        assert steps(receiver.wait_for(lambda came: len(came) >= 2)) == ["a1/1", "a1/2"]


def test_who_takes_over_is_told_of_what_stands(place: Place) -> None:
    clock = Clock()
    plan = (Shift(team="day", hours="07:00-19:00"), Shift(team="night", hours="19:00-07:00"))
    with Receiver() as receiver, telling(place, receiver, clock, duty=Duty.of("", "day", plan)):
        place.put(alarm("stands"), alarm("passed"), alarm("passed", 1, "ended"))
        place.put(alarm("stands", 1, "acknowledged"))
        eventually(lambda: place.settled("webhook-pager") == 4)
        assert receiver.deliveries == []
        clock.go_to(datetime(2026, 3, 2, 7, 0, tzinfo=UTC))
        came = receiver.wait_for(lambda came: len(came) >= 2)
    assert steps(came) == ["stands/1", "passed/1"]  # what stands comes first


# Rungs


def test_a_higher_rung_is_told_from_the_escalation_on_and_then_to_the_end(place: Place) -> None:
    with Receiver() as receiver:
        place.put(alarm("a1"), alarm("a2"), replace(alarm("a1", 1), change="escalated", level=1))
        with telling(place, receiver, rung=1):
            receiver.wait_for(lambda came: len(came) >= 1)
        place.put(alarm("a1", 2, "acknowledged", priority="low"), alarm("a2", 1, "acknowledged"), alarm("a3"))
        place.put(alarm("a1", 3, "ended"))
        with telling(place, receiver, rung=1, priorities=("high",)):
            came = receiver.wait_for(lambda came: len(came) >= 3)
    assert steps(came) == ["a1/1", "a1/2", "a1/3"]
    assert place.settled("webhook-pager") == 7


# Late and superseded


def test_after_an_outage_what_stands_goes_first_and_what_is_over_says_so(place: Place) -> None:
    down = threading.Event()
    down.set()
    with Receiver(lambda _: 503 if down.is_set() else 204) as receiver, telling(place, receiver):
        place.put(alarm("over"), alarm("low", priority="low"), alarm("over", 1, "ended"), alarm("high"))
        receiver.wait_for(lambda came: len(came) >= 4)
        before = len(receiver.deliveries)
        down.clear()
        came = receiver.wait_for(lambda came: len(came) >= before + 4)[before:]
    taken = list(dict.fromkeys(steps(came)))
    assert [one for one in taken if one.startswith("over")] == ["over/0", "over/1"]  # in order, and none left out
    assert {one.headers.get("femtoward-superseded") for one in came if one.id.endswith("over_0")} == {"ended"}
    assert {one.headers.get("femtoward-superseded") for one in came if one.id.endswith(("high_0", "over_1"))} == {None}


def test_a_line_for_people_says_what_became_of_the_alarm_since(place: Place) -> None:
    down = threading.Event()
    down.set()
    with (
        Receiver(lambda _: 503 if down.is_set() else 204) as receiver,
        telling(place, receiver, template="text", detail="full"),
    ):
        place.put(replace(alarm(), bed="3", note="see <@here>"), alarm(step=1, state="ended"))
        receiver.wait_for(lambda came: len(came) >= 4)
        down.clear()
        eventually(lambda: place.settled("webhook-pager") == 2)
        [first] = {one.body for one in receiver.deliveries[-2:-1]}
    said = json.loads(first)["text"]
    assert said.startswith("HIGH (late, ended since): asystole at bed 3 (p1), active since 22:13:20 UTC:")
    assert "see &lt;@\u200bhere&gt;" in said


def test_links_stand_in_what_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_SECRET", SECRET)
    links = Links(LinkOptions(url="https://ward.example", secret_env="LINK_SECRET"))  # noqa: S106 - its name
    with Receiver() as receiver, telling(place, receiver, links=links):
        place.put(alarm())
        [one] = receiver.wait_for(lambda came: len(came) >= 1)
    assert one.data["links"] == {"alarm": links.url("pager", alarm())}


# Receivers that fail


def test_a_breaker_lets_one_row_try_now_and_then_until_the_receiver_answers() -> None:
    breaker = Breaker(BackOff(1.0, 1000.0))
    for _ in range(TRIES - 1):
        breaker.failed(0.0, None, 1.0)
        assert breaker.lets(0.0)
    breaker.failed(0.0, None, 1.0)
    assert [breaker.lets(t) for t in (0.0, 0.9, 1.0)] == [False, False, True]
    breaker.failed(1.0, None, 1.0)
    assert [breaker.lets(t) for t in (2.9, 3.0)] == [False, True]
    for _ in range(20):
        breaker.failed(3.0, None, 1.0)
    assert breaker.until_s == 3.0 + LONGEST_S
    breaker.passed()
    assert breaker.lets(3.0)
    breaker.failed(3.0, 60.0, 1.0)  # it asks for a minute: at once
    assert breaker.until_s == 63.0


def test_an_event_that_is_not_taken_says_nothing_against_its_receiver(place: Place) -> None:
    with Receiver(lambda one: 422 if one.data["id"] == "odd" else 204) as receiver, telling(place, receiver):
        place.put(alarm("odd"))
        receiver.wait_for(lambda came: len(came) >= TRIES + 2)
        place.put(alarm("well"))
        receiver.wait_for(lambda came: "well/0" in steps(came))
    with pytest.raises(DeliveryFailed) as failure, Receiver(lambda _: 422) as receiver:
        deliver(receiver, alarm())
    assert failure.value.of_row
    with pytest.raises(DeliveryFailed) as failure, Receiver(lambda _: 429) as receiver:
        deliver(receiver, alarm())
    assert not failure.value.of_row


def deliver(receiver: Receiver, event: AlarmEvent) -> None:
    options = WebhookOptions(name="pager", url=receiver.url, secret_env=VARIABLE, allow_local=True)
    WebhookCourier(options).deliver([Stored(1, event)])


def test_what_is_given_up_raises_an_alarm_until_it_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    down = threading.Event()
    down.set()
    reports = Reports()
    run = command_line(monkeypatch, capsys)
    with Receiver(lambda _: 503 if down.is_set() else 204) as receiver:
        config = tmp_path / "ward.toml"
        config.write_text(
            f'[ward]\ndata_dir = "{tmp_path / "data"}"\n[[webhook]]\nname = "pager"\nurl = "{receiver.url}"\n'
            f'secret_env = "{VARIABLE}"\nallow_local = true\n'
        )
        place = Place(tmp_path / "data" / "main")
        place.put(alarm(priority="low"), alarm("a2222"))
        with telling(place, receiver, Clock(), reports, give_up_s=0.0):
            eventually(lambda: ("webhook-pager-letters", False) in [said[:2] for said in reports.said])
            shown = run("alarms", "receipts", "--config", config)
            assert shown.status == 1
            assert "a1/0  pager            refused" in shown.out
            assert "a2222/0  pager            waiting" in shown.out
            asked = run("alarms", "resend", "--config", config, "--receiver", "pager")
            assert (asked.status, asked.out[:35]) == (0, "1 alarm events go to pager again, a")
            down.clear()
            eventually(lambda: ("webhook-pager-letters", True) in [said[:2] for said in reports.said])
            before = len(receiver.deliveries)
            assert run("alarms", "resend", "--config", config, "--json", "a2222").json == {"again": {"pager": 1}}
            [again] = receiver.wait_for(lambda came: len(came) > before)[before:]
            assert {one.body for one in receiver.deliveries if one.id == again.id} == {again.body}
        found = run("alarms", "receipts", "--config", config, "--json").json["deliveries"]
    assert {(one["alarm"], one["state"], *one["times"]) for one in found} == {
        ("a1", "delivered", "queued", "delivered"),
        ("a2222", "delivered", "queued", "delivered"),
    }
    refused(run("alarms", "resend", "--config", config, "--receiver", "phone"), "'phone': the settings name pager")


def test_receipts_are_kept_of_what_was_delivered(place: Place) -> None:
    clock = Clock()
    with Receiver() as receiver, telling(place, receiver, clock):
        place.put(alarm(), alarm(step=1, state="ended"))
        eventually(lambda: place.settled("webhook-pager") == 2)
    found = receipts(Path(place.cursors))
    assert [(one.receiver, one.site, one.alarm, one.step, one.what) for one in found] == [
        ("pager", "north", "a1", step, what) for step in (0, 1) for what in ("queued", "delivered")
    ]
    assert {one.at_ns for one in found} == {clock.now_ns}
