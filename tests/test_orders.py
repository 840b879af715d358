"""What people say of alarms, and what the clock makes of what nobody says; races, and a kill at every transition."""

from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import pytest
from bedside import P1, T0, Bedside
from hypothesis import given
from hypothesis import strategies as st

from dataflows import tree
from dataflows.alarm_bank import alarm_id
from dataflows.alarm_images import Cells, WardImage
from dataflows.alarms import REFUTED
from dataflows.bank import BankImage
from dataflows.events import STANDING, AlarmEvent
from dataflows.priorities import LADDER_S, MAX_AGE_S
from dataflows.rules import COLUMN, RULES

SLOW: Final = "extreme-bradycardia"
STILL: Final = "asystole"
VENTRICULAR = ("ventricular-fibrillation", "ventricular-tachycardia")


def raised(condition: str = SLOW) -> Bedside:
    bed = Bedside()
    bed.hold({condition: 1}, 1)
    assert (bed.last.state, bed.last.change) == ("active", "raised")
    return bed


def test_who_acknowledged_when_and_why_is_kept_and_the_clock_stops() -> None:
    bed = raised()
    answer = bed.acknowledge(bed.last.id)
    assert (answer.done, answer.detail) == (True, "acknowledged extreme-bradycardia of p1")
    said = bed.last
    assert (said.state, said.actor, said.note, said.step, said.arrival_ns) == (
        "acknowledged",
        "ana",
        "seen",
        1,
        bed.now,
    )
    assert bed.ticks(int(LADDER_S["high"][-1]) + 5) == []


def test_what_latches_goes_only_when_somebody_has_seen_it() -> None:
    bed = raised(STILL)
    bed.hold({STILL: 0}, 20)
    assert bed.last.state == "latched"
    assert bed.acknowledge(bed.last.id).detail == "acknowledged asystole of p1, which is over"
    assert (bed.last.state, bed.last.change, bed.last.actor) == ("ended", "acknowledged", "ana")


def test_an_acknowledged_alarm_that_comes_again_breaks_through_as_the_same_and_is_counted() -> None:
    bed = raised()
    first = bed.last.id
    bed.acknowledge(first)
    bed.hold({SLOW: 0}, 5)
    assert bed.last.state == "ended"
    bed.hold({SLOW: 1}, 1)
    again = bed.last
    assert (again.state, again.change, again.id, again.occurrences) == ("active", "retriggered", first, 2)


def test_a_shelved_condition_is_quiet_comes_again_quietly_and_speaks_when_its_time_is_over() -> None:
    bed = raised()
    assert bed.shelve(SLOW, 60).done
    assert (bed.last.state, bed.last.until_ns) == ("shelved", bed.now + 60 * 10**9)
    until = bed.last.until_ns
    bed.hold({SLOW: 0}, 10)
    bed.hold({SLOW: 1}, 10)
    assert [(event.state, event.change) for event in bed.events[2:]] == [("shelved", "retriggered")]
    bed.hold({SLOW: 1}, 45)
    assert (bed.last.state, bed.last.change) == ("active", "unshelved")
    assert 0 <= bed.last.arrival_ns - until < 2 * 10**9
    assert "its time on the shelf is over: heart rate" in bed.last.reason


def test_what_is_not_true_can_be_shelved_and_is_gone_with_its_time() -> None:
    bed = Bedside()
    assert bed.shelve("poor-signal", 30).done
    assert (bed.last.state, bed.last.occurrences) == ("shelved", 0)
    bed.ticks(31)
    assert (bed.last.state, bed.last.change) == ("ended", "unshelved")
    assert bed.unshelve("poor-signal").detail == "poor-signal of p1 is not shelved"
    bed.shelve("poor-signal", 30)
    assert bed.unshelve("poor-signal").done
    assert bed.last.state == "ended"


@pytest.mark.parametrize("condition", [STILL, *VENTRICULAR])
def test_what_latches_cannot_be_shelved_beyond_two_minutes_not_even_by_and_by(condition: str) -> None:
    bed = raised(condition)
    refused = bed.shelve(condition, 121)
    assert not refused.done
    assert refused.detail == f"{condition} of p1 is shelved for 120 s at most: 121 s were asked for"
    assert bed.shelve(condition, 100).done
    bed.hold({condition: 1}, 90)
    assert "of which 30 s are left: 60 s were asked for" in bed.shelve(condition, 60).detail
    assert bed.shelve(condition, 25).done
    bed.hold({condition: 1}, 26)
    assert bed.last.state == "active"
    assert {rule.condition for rule in RULES if rule.latches} == {STILL, *VENTRICULAR}


def test_a_fatal_condition_that_came_true_unseen_on_the_shelf_latches_when_the_shelf_ends() -> None:
    bed = Bedside()
    bed.shelve(STILL, 60)
    bed.hold({STILL: 1}, 5)
    bed.hold({STILL: 0}, 60)
    assert [(event.state, event.change) for event in bed.events] == [
        ("shelved", "shelved"), ("shelved", "retriggered"), ("latched", "latched"),
    ]  # fmt: skip


def test_a_higher_priority_breaks_through_acknowledgement_and_shelf() -> None:
    for shelved in (False, True):
        bed = Bedside()
        bed.hold({"cannot-analyse": 1}, 20)
        assert bed.last.priority == "medium"
        assert (bed.shelve("cannot-analyse", 3600) if shelved else bed.acknowledge(bed.last.id)).done
        bed.hold({"cannot-analyse": 1}, 41)
        assert (bed.last.state, bed.last.change, bed.last.priority) == ("active", "worsened", "high")
        assert bed.last.until_ns == 0


def test_nobody_answering_climbs_rung_by_rung_also_when_it_is_over_and_a_report_hastens() -> None:
    bed = raised(STILL)
    begun = bed.now
    bed.hold({STILL: 0}, 400)
    climbed = [
        (event.level, round((event.arrival_ns - begun) / 1e9)) for event in bed.events if event.change == "escalated"
    ]
    assert [level for level, _ in climbed] == [1, 2, 3]
    assert [after for _, after in climbed] == pytest.approx(LADDER_S["high"], abs=2.0)
    assert "nobody has answered for 300 s: no heartbeat for 5 s" in bed.last.reason
    bed = raised()
    alarm = bed.last.id
    assert bed.hasten(alarm).done
    assert (bed.last.change, bed.last.level) == ("escalated", 1)
    assert bed.last.reason.startswith("the pager cannot be reached: heart rate")
    assert [bed.hasten(alarm).done for _ in range(3)] == [True, True, False]
    assert bed.answers[-1].detail.endswith("has no rung left to climb")
    bed.acknowledge(alarm)
    assert bed.hasten(alarm).detail.endswith("nobody has to answer")


def test_what_was_acknowledged_long_ago_and_still_holds_is_told_again() -> None:
    bed = raised()
    bed.acknowledge(bed.last.id)
    for _ in range(int(MAX_AGE_S["high"]) // 60):
        bed.see({SLOW: 1})
        bed.wait(60.0)
    assert (bed.last.state, bed.last.change, bed.last.occurrences) == ("active", "retriggered", 1)
    assert "acknowledged 900 s ago, and still so: heart rate" in bed.last.reason


def test_alarms_that_are_over_can_be_spoken_of_until_another_of_their_kind_comes() -> None:
    bed = raised()
    alarm = bed.last.id
    bed.hold({SLOW: 0}, 5)
    assert bed.mark(alarm, "false").detail == "marked extreme-bradycardia of p1 false"
    assert bed.comment(alarm, "he slept").done
    assert [(e.state, e.change, e.mark, e.note, e.step) for e in bed.events[-2:]] == [
        ("ended", "marked", "false", "", 2), ("ended", "commented", "false", "he slept", 3),
    ]  # fmt: skip
    assert not bed.acknowledge(alarm).done
    bed.hold({SLOW: 1}, 1)
    assert (bed.last.id, bed.last.step, bed.last.mark) == (alarm, 4, "false")


def test_an_alarm_can_be_marked_though_another_of_its_kind_stands_and_when_its_patient_has_left() -> None:
    bed = raised()
    first = bed.last.id
    bed.hold({SLOW: 0}, 120)
    bed.hold({SLOW: 1}, 1)
    assert bed.last.id != first
    assert bed.last.episode == first
    bed.restart()
    assert bed.mark(first, "false").done
    assert (bed.last.id, bed.last.state, bed.last.mark, bed.last.step) == (first, "ended", "false", 2)
    assert bed.last.reason == "marked false by ana"
    assert bed.last.value == 5.0
    assert bed.comment(first, "moved").done
    assert (bed.last.mark, bed.last.step) == ("false", 3)
    assert bed.acknowledge(first).detail.endswith("does not stand: it is over")
    second = bed.events[2].id
    assert [event.id for event in bed.ward.discharge(P1, bed.now, "p1 left")] == [second]
    assert bed.mark(second, "true").done
    assert bed.comment("another", "so").detail.startswith("no patient p1 is here")


def test_who_asks_for_what_is_not_there_is_told_so() -> None:
    bed = Bedside()
    assert bed.acknowledge("nothing").detail == "alarm nothing of p1 does not stand: it ended or never was"
    assert bed.shelve("hiccups", 60).detail.startswith("no condition 'hiccups': there are asystole, ")
    bed = raised()
    bed.acknowledge(bed.last.id)
    again = bed.acknowledge(bed.last.id)
    assert (again.done, again.detail) == (True, f"alarm {bed.last.id} of p1 had been acknowledged before")


def test_what_was_found_when_is_told_apart_from_when_it_was_signalled() -> None:
    bed = Bedside()
    bed.hold({"poor-signal": 1}, 12)
    assert (bed.last.condition_delay_ms, bed.last.signal_delay_ms) == (10_000.0, 0.0)
    bed = raised(STILL)  # hides a slow heart until it is over
    begun = bed.now
    bed.hold({STILL: 1, SLOW: 1}, 10)
    bed.hold({STILL: 0, SLOW: 1}, 1)
    slow = bed.last
    assert (slow.condition, slow.onset_ns) == (SLOW, begun)
    assert (slow.condition_delay_ms, slow.signal_delay_ms) == (0.0, 10_000.0)


def test_alarms_of_a_snapshot_from_before_the_table_go_on_under_their_ids() -> None:
    onset = T0 - 5 * 10**9
    fields = ("phase", "onset_ns", "true_ns", "over_ns", "ended_ns", "next_step")
    arrays = {name: np.zeros((1, len(COLUMN)), np.int64) for name in fields}
    for condition, phase, begun in ((SLOW, 2, onset), (STILL, 1, onset), ("poor-signal", 0, onset)):
        column = COLUMN[condition]
        arrays["phase"][0, column], arrays["onset_ns"][0, column], arrays["true_ns"][0, column] = phase, begun, T0
        arrays["next_step"][0, column] = phase
    data = tree.encode(tuple(arrays.values()))
    bed = Bedside()
    bed.ward.restore(WardImage(fields, tuple(COLUMN), BankImage((P1,), data)))
    cells: Cells = {SLOW: (2, onset, T0, 0, 0, 2), "poor-signal": (0, onset, T0, 0, 0, 0)}
    assert bed.ward.ids_in(P1, cells) == [alarm_id(P1, SLOW, onset)]
    bed.hold({SLOW: 0, STILL: 0, "poor-signal": 1}, 7)
    assert [(e.condition, e.state, e.id, e.step) for e in bed.events] == [
        (STILL, "latched", alarm_id(P1, STILL, onset), 1),
        (SLOW, "ended", alarm_id(P1, SLOW, onset), 2),
        ("poor-signal", "active", alarm_id(P1, "poor-signal", onset), 0),
    ]
    assert [event.priority for event in bed.events] == ["high", "high", "low"]


WATCHED = [STILL, SLOW, "cannot-analyse", "ventricular-run"]
ACTIONS = st.one_of(
    st.tuples(st.just("see"), st.lists(st.sampled_from([1, 1, 0, 0, -1, REFUTED]), min_size=4, max_size=4)),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 1.0, 2.0, 4.0, 35.0, 70.0, 130.0, 1000.0])),
    st.tuples(st.sampled_from(["acknowledge", "comment", "mark", "hasten"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["shelve", "unshelve"]), st.sampled_from(WATCHED)),
)


def act(bed: Bedside, action: tuple[str, object]) -> None:
    """One thing happens at the bed."""
    match action:
        case ("see", list(truths)):
            bed.see(dict(zip(WATCHED, truths, strict=True)), value=20.0)
        case ("wait", float(seconds)):
            bed.wait(seconds)
        case ("shelve", str(condition)):
            bed.shelve(condition, 50)
        case ("unshelve", str(condition)):
            bed.unshelve(condition)
        case (what, int(back)) if bed.events:
            alarm = bed.events[-1 - back % len(bed.events)].id
            match what:
                case "acknowledge":
                    bed.acknowledge(alarm)
                case "comment":
                    bed.comment(alarm, "so")
                case "mark":
                    bed.mark(alarm, "true")
                case _:
                    bed.hasten(alarm)


def plain(rows: list[AlarmEvent]) -> list[bytes]:
    return [msgspec.msgpack.encode(row) for row in rows]


@given(st.lists(ACTIONS, max_size=40))
def test_whatever_races_a_kill_after_every_step_changes_nothing_and_no_alarm_is_lost(
    actions: list[tuple[str, object]],
) -> None:
    lives, killed = Bedside(), Bedside()
    for action in actions:
        act(lives, action)
        act(killed, action)
        killed.restart()
    assert plain(killed.events) == plain(lives.events)
    assert killed.answers == lives.answers
    assert msgspec.msgpack.encode(killed.restart()) == msgspec.msgpack.encode(lives.restart())
    steps: dict[str, list[AlarmEvent]] = {}
    for event in lives.events:
        steps.setdefault(event.id, []).append(event)
    for told in steps.values():
        assert [event.step for event in told] == list(range(len(told)))  # none twice, none left out
        for before, after in pairwise(told):
            if before.condition == STILL and before.state in {"active", "latched"} and after.state == "ended":
                assert after.change == "acknowledged"  # what latches goes unseen by nobody
            if after.change == "escalated":
                assert before.state in {"active", "latched"}  # no clock runs once somebody has answered
    newest = {told[-1].id for told in steps.values() if told[-1].state in STANDING}
    assert newest == set(lives.ward.ids())
    assert len(newest) <= len(COLUMN)
