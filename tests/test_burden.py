"""The burden of alarms: what counts as what, and the report over a store."""

from pathlib import Path

import numpy as np
import pytest
from commandline import Run, refused
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, bed, vitals

from dataflows.burden import DAY_NS, FLOOD_ALARMS, FLOOD_NS, Life, burden, exposure_ns, floods, lives
from dataflows.events import AlarmEvent, AlarmState, BedState
from dataflows.store import Store

T0 = SECOND * NS


def event(id_: str, step: int, state: AlarmState, at_s: float, **more: object) -> AlarmEvent:
    fields = {name: getattr(alarm(), name) for name in AlarmEvent.__struct_fields__}
    at_ns = T0 + round(at_s * NS)
    fields |= {"id": id_, "step": step, "state": state, "arrival_ns": at_ns, "ward": "icu"}
    return AlarmEvent(**(fields | more))


def raised(times_s: list[float], ward: str = "icu") -> list[Life]:
    return lives(event(f"a{n}", 0, "active", at, ward=ward, patient=f"p{n}") for n, at in enumerate(times_s))


def test_an_alarm_counts_once_with_all_that_became_of_it() -> None:
    history = [
        event("a", 0, "active", 0.0, priority="medium"),
        event("a", 1, "active", 5.0, priority="high", change="escalated"),
        event("a", 2, "acknowledged", 20.0, priority="high"),
        event("a", 3, "ended", 60.0, priority="high", occurrences=3, mark="false"),
    ]
    found = burden(lives(history[::-1]), T0, T0 + DAY_NS, 2.0 * DAY_NS)
    total = found.total
    assert (total.raised, total.per_patient_day, total.acknowledged) == (1, 0.5, 1.0)
    assert (total.acknowledged_s_p50, total.acknowledged_s_p90) == (20.0, 20.0)
    assert (total.repeats, total.escalated, total.marked_false, total.false_share) == (2, 1, 1, 1.0)
    (kind,) = found.by_condition
    assert (kind.condition, kind.priority) == ("asystole", "high")
    assert [count.raised for count in found.by_priority] == [1, 0, 0]


def test_what_was_over_before_it_could_page_is_missed_and_no_burden() -> None:
    found = burden(lives([event("a", 0, "missed", 0.0, onset_ns=T0)]), T0, T0 + DAY_NS, DAY_NS)
    assert (found.total.raised, found.total.missed) == (0, 1)
    assert np.isnan(found.total.acknowledged)


def test_what_was_only_shelved_is_not_missed() -> None:
    shelved = event("a", 0, "shelved", 0.0, onset_ns=T0, change="shelved")
    found = burden(lives([shelved, event("a", 1, "ended", 9.0)]), T0, T0 + DAY_NS, DAY_NS)
    assert (found.total.raised, found.total.missed) == (0, 0)


def test_whoever_acknowledges_a_latched_alarm_has_acknowledged_it() -> None:
    history = [
        event("a", 0, "active", 0.0),
        event("a", 1, "latched", 5.0, change="latched"),
        event("a", 2, "ended", 30.0, change="acknowledged"),
    ]
    total = burden(lives(history), T0, T0 + DAY_NS, DAY_NS).total
    assert (total.acknowledged, total.acknowledged_s_p50) == (1.0, 30.0)


def test_a_repeat_is_of_the_same_patient_and_condition_within_ten_minutes() -> None:
    events = [event(f"a{n}", 0, "active", at) for n, at in enumerate((0.0, 599.0, 1200.0))]
    other = event("b", 0, "active", 1.0, patient="p2")
    assert burden(lives([*events, other]), T0, T0 + DAY_NS, DAY_NS).total.repeats == 1
    assert burden(lives(events), T0 + NS, T0 + DAY_NS, DAY_NS).total.repeats == 1  # of one before the time


def test_a_time_is_half_open() -> None:
    found = raised([0.0, 10.0])
    assert burden(found, T0, T0 + 10 * NS, DAY_NS).total.raised == 1
    assert burden(found, T0 + 10 * NS, T0 + 11 * NS, DAY_NS).total.raised == 1


def test_ten_alarms_in_ten_minutes_on_one_ward_are_a_flood() -> None:
    calm = raised([60.0 * n for n in range(FLOOD_ALARMS - 1)])
    assert not list(floods(calm))
    (flood,) = floods([*calm, *raised([599.0])])
    assert (flood.alarms, flood.from_ns, flood.ward) == (10, T0, "icu")
    assert not list(floods([*calm, *raised([599.0], ward="surgery")]))


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=60))
def test_floods_are_those_of_a_slow_count(times_s: list[int]) -> None:
    times = sorted(times_s)
    wet: set[int] = set()
    for last, end in enumerate(times):
        within = [n for n in range(last + 1) if times[n] > end - FLOOD_NS // NS]
        if len(within) >= FLOOD_ALARMS:
            wet |= set(within)
    found = list(floods(raised([float(at) for at in times])))
    assert sum(flood.alarms for flood in found) == len(wet)


def test_exposure_is_the_time_in_a_bed_that_goes_on_saying_so() -> None:
    def of(at_s: int, *, admitted: bool = True, patient: str = "p1") -> BedState:
        return replace(bed(patient, at_ns=T0 + at_s * NS), admitted=admitted)

    beds = [of(0), of(3600), of(5000, admitted=False), of(100, patient="p2")]
    assert exposure_ns(beds, T0, T0 + 10_000 * NS) == (5000 + 3700) * NS
    assert exposure_ns(beds, T0 + 1000 * NS, T0 + 2000 * NS) == 2000 * NS


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    with Store(tmp_path / "main" / "store.sqlite") as store:
        store.put([bed(), vitals(second=SECOND + 3599)])
        store.put([event(f"a{n}", 0, "active", 30.0 * n) for n in range(12)])
        store.put([event("a0", 1, "acknowledged", 42.0), event("a1", 1, "ended", 60.0, mark="false")])
    return tmp_path


def test_the_report_is_text_json_and_a_picture(femtoward: Run, ward: Path) -> None:
    picture = ward / "burden.png"
    found = femtoward("alarms", "report", "--data-dir", ward, "--json", "--plot", picture).json
    assert picture.read_bytes().startswith(b"\x89PNG")
    total = found["total"]
    assert (total["raised"], total["repeats"], total["false_share"]) == (12, 11, 1.0)
    assert total["acknowledged_s_p50"] == 42.0
    assert found["patient_days"] == pytest.approx(3600 / 86_400)
    assert total["per_patient_day"] == pytest.approx(288.0)
    assert [flood["alarms"] for flood in found["floods"]] == [12]
    said = femtoward("alarms", "report", "--data-dir", ward).out
    assert "asystole                   high" in said
    assert "icu: 12 alarms" in said
    later = femtoward("alarms", "report", "--data-dir", ward, "--since", SECOND + 60, "--json").json
    assert later["total"]["raised"] == 10
    refused(femtoward("alarms", "report", "--data-dir", ward, "--plot", "x.txt"), "need a file that ends in .png")
