"""Which partitions are silent to the page: by how far their flows have come, else by the newest of their beds."""

from collections.abc import Sequence
from pathlib import Path

from flows import ward, write
from msgspec.structs import replace
from outgoing import SECOND, alarm, vitals

from dataflows.alarm_bank import no_alarms
from dataflows.alarm_table import Phase
from dataflows.events import WARD, AlarmEvent, PatientInfo, Row
from dataflows.flow import FlowOptions, run_flow
from dataflows.priorities import RANK
from dataflows.rules import COLUMN, RULES
from dataflows.standing import standing
from dataflows.store import Store
from deploy.live import Bed
from deploy.page.feed import Feed
from deploy.page.messages import Silent
from deploy.page.silence import Room
from deploy.page.tiles import tile

NS = 10**9
P1 = PatientInfo("north", "p1", "bed-1", ("w1",), True, 1)
LOST = replace(alarm(), condition="lost-contact", category="technical", priority="medium")


def silent(rooms: Sequence[Room], now_ns: int) -> tuple[Silent, ...]:
    """As a page is told that is opened at a time."""
    feed = Feed(rooms, lambda: now_ns)
    feed.take(feed.look())
    return feed.silent


def partition(folder: Path, name: str, *rows: Row) -> Room:
    """One whose flow has left no word of how far it has come."""
    with Store(folder / name / "store.sqlite") as store:
        store.put([P1, *rows])
    return Room(name, folder / name)


def test_one_that_is_silent_is_told_although_another_is_not(tmp_path: Path) -> None:
    east = partition(tmp_path, "east", vitals(second=SECOND + 600))
    west = partition(tmp_path, "west", vitals())
    assert silent([east, west], (SECOND + 601) * NS) == (Silent("west", (SECOND + 1) * 1000),)


def test_an_alarm_explains_the_silence_of_its_own_partition_alone(tmp_path: Path) -> None:
    of_ward = replace(LOST, patient=WARD, condition="broker-lost")
    rooms = [
        partition(tmp_path, "north", vitals(), LOST),
        partition(tmp_path, "east", vitals(), of_ward),
        partition(tmp_path, "west", vitals()),
        partition(tmp_path, "empty"),
    ]
    assert [one.partition for one in silent(rooms, (SECOND + 600) * NS)] == ["west"]


def test_a_flow_that_is_dead_is_told_whatever_its_alarms_explain(tmp_path: Path) -> None:
    tape = ward(2, 6.0)
    options = FlowOptions(data_dir=str(tmp_path))
    write(options.journal("main"), tape)
    run_flow(options, lambda: True)
    with Store(options.store("main")) as store:
        here = [info for info in store.patients().values() if info.admitted]
        store.put([replace(LOST, id=f"lost-{info.patient}", site=info.site, patient=info.patient) for info in here])
        assert here
        assert len(store.latest_vitals()) == len(here)
    room = Room("main", options.folder("main"))
    reached_ns = tape[-1].arrival_ns
    assert silent([room], reached_ns + 11 * NS) == ()
    assert silent([room], reached_ns + 600 * NS) == (Silent("main", reached_ns // 1_000_000),)
    assert silent([room._replace(snapshot_s=300.0)], reached_ns + 600 * NS) == ()


def test_a_tile_says_what_the_flow_says_of_the_bed() -> None:
    raised = [("extreme-tachycardia", 9, False), ("asystole", 5, False), ("extreme-bradycardia", 5, False)]
    raised += [("frozen", 3, False), ("poor-signal", 1, False), ("saturated", 2, True)]
    for first in range(len(raised)):
        alarms, bed = no_alarms(1), Bed("p1")
        for condition, onset_ns, seen in raised[first:]:
            column = COLUMN[condition]
            alarms.onset_ns[0, column] = onset_ns
            alarms.phase[0, column] = Phase.ACKNOWLEDGED if seen else Phase.ACTIVE
            alarms.priority[0, column] = RANK[RULES[column].priority]
            bed.alarms[condition] = _event(column, onset_ns, seen=seen)
        said, shown = standing(alarms, 0), tile("k", bed)
        assert (shown.need, shown.words) == (said.need, said.words)
        worst = shown.alarms[0]
        assert (worst.need, worst.condition) == (said.need, said.condition)


def _event(column: int, onset_ns: int, *, seen: bool) -> AlarmEvent:
    rule = RULES[column]
    state = "acknowledged" if seen else "active"
    return replace(alarm(), condition=rule.condition, priority=rule.priority, state=state, onset_ns=onset_ns)
