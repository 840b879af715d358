"""Parts of the system in trouble: what comes on top of a standing fault is said, what comes and goes is no flood."""

import msgspec
import pytest
from shards import of, rows_of
from wire import SECOND_NS, Tape

from dataflows.events import AlarmEvent
from dataflows.faults import QUIET_NS
from dataflows.items import WARD_KEY, Commanded, Item, Reported, Tick
from dataflows.shard import Shard
from ingest.command import Acknowledge, Comment, Mark, Shelve
from ingest.journal import RecordKind
from ingest.notices import Report
from ingest.room import Stage
from ingest.words import room_report

FAILS, WELL = Report("influx", ok=False, detail="connection refused"), Report("influx", ok=True, detail="")
FLOW = Report("flow", ok=False, detail="flow ended with status 1")
SHELVE = Shelve(id="s1", patient="ward", condition="system-fault", seconds=60)
FLOW_WELL = Report("flow", ok=True, detail="")


def said(tape: Tape, *reports: Report) -> None:
    for report in reports:
        tape.add(RecordKind.REPORT, "", msgspec.json.encode(report))


def events(tape: Tape) -> list[AlarmEvent]:
    events = [event for event in of(AlarmEvent, rows_of(tape)) if event.condition == "system-fault"]
    return [event for event in events if event.change != "escalated"]  # nobody answers here


def states(tape: Tape) -> list[str]:
    return [event.state for event in events(tape)]


def disk(stage: Stage) -> Report:
    return room_report("/data", stage, 1_000_000)


def test_each_that_begins_to_fail_and_a_disk_that_gets_worse_is_an_alarm_of_its_own_that_names_all() -> None:
    tape = Tape()
    said(tape, FAILS, disk(Stage.SHORT), disk(Stage.FULL), FLOW)
    raised = [event for event in events(tape) if event.state == "active"]
    assert states(tape) == ["active", *(["ended", "active"] * 3)]
    assert raised[0].reason == "influx: connection refused"
    assert "the raw journal shrinks" in raised[1].reason
    assert "nothing is taken in or acknowledged" in raised[2].reason
    assert "the raw journal shrinks" not in raised[2].reason
    assert "flow: flow ended with status 1" in raised[3].reason
    assert all(event.reason.endswith("influx: connection refused") for event in raised[1:])
    assert [event.value for event in raised] == [1.0, 2.0, 2.0, 3.0]
    assert len({event.id for event in raised}) == 4


def test_an_alarm_that_ends_to_be_raised_anew_ends_an_instant_before() -> None:
    tape = Tape()
    said(tape, FAILS, FLOW)
    first, ended, second = events(tape)
    assert (ended.id, ended.state, ended.reason) == (first.id, "ended", "raised anew, as more is in trouble")
    assert first.event_ns <= ended.event_ns == second.event_ns - 1 == second.onset_ns - 1


@pytest.mark.parametrize("worse", [FLOW, disk(Stage.FULL)])
def test_what_fails_after_the_alarm_was_acknowledged_is_said(worse: Report) -> None:
    tape = Tape()
    said(tape, disk(Stage.SHORT))
    tape.command(Acknowledge(id="c1", patient="ward", alarm=events(tape)[0].id))
    said(tape, worse)
    assert states(tape) == ["active", "acknowledged", "ended", "active"]


def test_what_still_fails_in_other_words_and_a_disk_that_gets_better_is_no_news() -> None:
    tape = Tape()
    said(tape, FAILS, FLOW, disk(Stage.FULL))
    before = states(tape)
    said(tape, Report("influx", ok=False, detail="answers 500"), FLOW, disk(Stage.DIRE), disk(Stage.ROOMY), FLOW_WELL)
    assert states(tape) == before
    said(tape, WELL)
    assert states(tape) == [*before, "ended"]
    assert events(tape)[-1].reason == "over"


def test_what_fails_again_and_again_while_another_fails_is_said_once_in_ten_minutes() -> None:
    tape = Tape()
    said(tape, FAILS)
    begun_ns = tape.now_ns
    while tape.now_ns - begun_ns < QUIET_NS - 10 * SECOND_NS:
        said(tape, FLOW, FLOW_WELL)
        tape.ticks(1.0)
    assert states(tape) == ["active", "ended", "active"]
    tape.ticks(30.0)
    assert states(tape) == ["active", "ended", "active"]  # it is well
    said(tape, FLOW)
    assert states(tape) == ["active", "ended", "active", "ended", "active"]


def test_what_failed_again_too_soon_to_be_said_is_said_later_if_it_still_does() -> None:
    tape = Tape()
    said(tape, FAILS, FLOW, FLOW_WELL)
    tape.ticks(60.0)
    said(tape, FLOW)
    tape.ticks(QUIET_NS / SECOND_NS - 61.0)
    assert states(tape) == ["active", "ended", "active"]
    tape.ticks(2.0)
    assert states(tape) == ["active", "ended", "active", "ended", "active"]
    tape.ticks(2.0)
    assert states(tape) == ["active", "ended", "active", "ended", "active"]


def test_a_disk_between_two_stages_is_no_flood_but_a_worse_one_is_said_at_once() -> None:
    tape = Tape()
    said(tape, FAILS, *[disk(Stage.SHORT), disk(Stage.TIGHT)] * 5)
    assert states(tape) == ["active", *(["ended", "active"] * 2)]
    said(tape, disk(Stage.DIRE))
    assert states(tape) == ["active", *(["ended", "active"] * 3)]


def test_what_was_said_outlives_a_restart() -> None:
    def report(name: str, at_s: int, *, ok: bool = False) -> Item:
        return Reported(name, ok, "", at_s * SECOND_NS)

    before, after = Shard(), Shard()
    early: list[Item] = [report("influx", 1), report("flow", 2), report("flow", 3, ok=True)]
    late: list[Item] = [report("flow", 4), Tick(602 * SECOND_NS, 602 * SECOND_NS, 0, ward=True)]
    before.feed(early)
    assert after.restore(Shard.VERSION, before.image()) == []
    resumed, went_on = ([(e.id, e.state) for e in of(AlarmEvent, shard.feed(late))] for shard in (after, before))
    assert resumed == went_on
    assert [state for _, state in resumed] == ["ended", "active"]


def test_what_fails_is_named_again_when_nobody_answers_and_the_alarm_is_hurried() -> None:
    tape = Tape()
    said(tape, FAILS, disk(Stage.SHORT))
    alarm = events(tape)[-1].id
    tape.command(Comment(id="c1", patient="ward", alarm=alarm, note="looking"))
    tape.command(Mark(id="c2", patient="ward", alarm=alarm, was="true"))
    last = events(tape)[-1]
    assert (last.change, last.mark, last.step) == ("marked", "true", 2)
    shard = Shard()
    shard.ward.admit(WARD_KEY)
    shard.feed([Reported("influx", ok=False, detail="connection refused", arrival_ns=SECOND_NS)])
    (shelved,) = of(AlarmEvent, shard.feed([Commanded(WARD_KEY, "ana", SHELVE, 2 * SECOND_NS)]))
    assert shelved.state == "shelved"
    (again,) = of(AlarmEvent, shard.feed([Tick(70 * SECOND_NS, 70 * SECOND_NS, 0, ward=True)]))
    assert again.reason == "its time on the shelf is over: influx: connection refused"
