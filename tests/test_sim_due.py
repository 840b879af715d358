"""What a monitor should speak of stands in the truth as due, whether or not any flow can find it."""

import math
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from sim_signals import START_NS, Run

from device_sim.bodywatch import BodyExpectations, Second, news2_points
from device_sim.course import APNOEA_DEPTH, levels
from device_sim.events import (
    ActivityEvent,
    BloodEvent,
    BreathEvent,
    BreathName,
    CourseEvent,
    Event,
    RhythmName,
    StEvent,
    TemperatureEvent,
)
from device_sim.expected import Expected
from device_sim.foreseen import event_expectations, rhythm_expectations
from device_sim.heartwatch import HeartExpectations
from device_sim.physiology import BeatClass
from device_sim.script import Episode, PatientScript, Script
from device_sim.truth import AlarmLine


def called(beats: list[tuple[float, BeatClass]], end_s: float = 0.0) -> list[Expected]:
    """What intervals and classes of beats call for."""
    heart, now_s = HeartExpectations(), 0.0
    found: list[Expected] = []
    for after_s, kind in beats:
        now_s += after_s
        found += heart.beat(now_s, kind)
    return [*found, *heart.close(max(now_s, end_s))]


def due(expected: list[Expected]) -> list[str]:
    return [one.condition for one in expected if one.due]


def due_in(run: Run) -> list[tuple[str, int, int]]:
    """Conditions that are due with their windows, in whole s of the run."""
    return [
        (line.condition, (line.from_ns - START_NS) // 10**9, (line.to_ns - START_NS) // 10**9)
        for line in run.truth
        if isinstance(line, AlarmLine) and line.due
    ]


def lying(patient: PatientScript, hours: float) -> list[Expected]:
    """What the levels of a script call for, by the second of a heart at the rate that is asked of it."""
    t = np.arange(1.0, hours * 3600.0)
    now, watch = levels(Script(patient, 0.0), t), BodyExpectations()
    found: list[Expected] = []
    for row, at_s in enumerate(t):
        breath = float(now.breath_bpm[row]) * float(now.depth[row] > APNOEA_DEPTH)
        rate, spo2, core = (float(values[row]) for values in (now.rate * patient.rate_bpm, now.spo2, now.core_cel))
        found += watch.second(Second(float(at_s), rate, breath, spo2, core, arrested=False))
    return found


@pytest.mark.parametrize(
    ("rhythm", "for_s", "condition"),
    [
        ("ventricular-fibrillation", math.inf, "ventricular-fibrillation"),
        ("ventricular-fibrillation", 3.0, None),
        ("pulseless", math.inf, "pulseless"),
        ("pulseless", 5.0, None),
        ("agonal", 60.0, "asystole"),
        ("atrial-fibrillation", 40.0, "atrial-fibrillation"),
        ("atrial-fibrillation", 5.0, None),
        ("atrial-flutter", 40.0, "atrial-flutter"),
        ("mobitz", 60.0, "heart-block"),
        ("wenckebach", 60.0, None),
        ("bigeminy", 60.0, None),
        ("ectopy", 60.0, None),
    ],
)
def test_a_rhythm_that_lasts_is_due_by_its_name(rhythm: RhythmName, for_s: float, condition: str | None) -> None:
    found = rhythm_expectations(Episode(rhythm, 10.0, 10.0 + for_s, 0.0))
    assert due(found) == ([condition] if condition else [])
    assert not any(one.required for one in found)
    if condition:
        assert any(one.condition == condition and one.to_s >= 10.0 + for_s for one in found), "it may come again"


@pytest.mark.parametrize(
    ("event", "condition"),
    [
        (StEvent(from_s=5.0, st=0.2), "st-shift"),
        (StEvent(from_s=5.0, st=-0.2), "st-shift"),
        (StEvent(from_s=5.0, for_s=30.0), None),
        (StEvent(from_s=5.0, st=0.05), None),
        (BreathEvent(from_s=5.0, breath="periodic"), None),
        (ActivityEvent(from_s=5.0, activity="walking"), None),
    ],
)
def test_an_event_is_due_only_if_a_monitor_should_speak_of_it(event: Event, condition: str | None) -> None:
    assert due(event_expectations(event, event.from_s, event.to_s)) == ([condition] if condition else [])


def test_five_ventricular_beats_in_a_row_are_due_and_four_are_not() -> None:
    calm: list[tuple[float, BeatClass]] = [(0.8, "N")] * 10
    run: list[tuple[float, BeatClass]] = [(0.45, "V")]
    assert not due(called([*calm, *run * 4, *calm]))
    (one,) = [one for one in called([*calm, *run * 5, *calm]) if one.due]
    first, fifth = (list(accumulate(after for after, _ in [*calm, *run * 5]))[k] for k in (10, 14))
    assert one.condition == "ventricular-tachycardia"
    assert (one.from_s, one.to_s) == pytest.approx((first - 0.5, fifth + 10.0))


def test_slow_ventricular_beats_are_no_tachycardia() -> None:
    assert not due(called([(0.8, "N"), *[(0.65, "V")] * 12, (0.8, "N")]))  # type: ignore[list-item]


def test_a_run_soon_after_another_is_not_due_again() -> None:
    calm: list[tuple[float, BeatClass]] = [(0.8, "N")] * 12
    later: list[tuple[float, BeatClass]] = [(0.8, "N")] * 45
    run: list[tuple[float, BeatClass]] = [(0.4, "V")] * 6
    found = called([*calm, *run, *calm, *run, *later, *run])
    runs = [one.due for one in found if one.condition == "ventricular-tachycardia"]
    assert runs == [True, False, True]


@pytest.mark.parametrize(
    ("rest_s", "conditions"),
    [(1.7, []), (2.5, []), (3.5, ["pause"]), (4.1, ["pause"]), (4.5, ["asystole"]), (30.0, ["asystole"])],
)
def test_a_rest_of_3_s_is_due_as_a_pause_and_one_of_4_s_as_an_asystole(rest_s: float, conditions: list[str]) -> None:
    found = called([*[(0.8, "N")] * 9, (rest_s, "N"), *[(0.8, "N")] * 9])  # type: ignore[list-item]
    assert due(found) == conditions
    assert ("pause" in {one.condition for one in found}) == (rest_s > 1.8), "from 2 s on it may be said"


def test_a_rest_that_no_beat_ends_may_be_told_as_a_pause_too() -> None:
    assert [(one.condition, one.due) for one in called([(0.8, "N"), (0.8, "N")], 4.5)] == [("pause", False)]
    assert {one.condition for one in called([(0.8, "N"), (0.8, "N")], 40.0)} == {"asystole", "pause"}


def test_an_asystole_after_a_fibrillation_counts_from_its_end() -> None:
    heart = HeartExpectations()
    heart.beat(10.0)
    for now_s in (15.0, 20.0, 25.0):
        heart.quivering(now_s)
        assert not heart.silence(now_s)
    one, _ = heart.silence(30.0)
    assert (one.condition, one.from_s, one.due) == ("asystole", 28.5, True)


def test_an_apnoea_is_due_once_it_lasts_and_a_breath_at_its_edge_is_not() -> None:
    short = PatientScript(breaths=(BreathEvent(from_s=60.0, for_s=15.0, breath="apnoea", ramp_s=1.0),))
    long = PatientScript(breaths=(BreathEvent(from_s=60.0, for_s=40.0, breath="apnoea", ramp_s=2.0),))
    assert not due(lying(short, 0.1))
    (one,) = lying(long, 0.1)
    assert (one.condition, one.due) == ("apnoea", True)
    assert (one.from_s, one.to_s) == pytest.approx((57.0, 97.0), abs=1.5)


@pytest.mark.parametrize("breath", ["shallow", "paced"])
def test_another_way_to_breathe_is_no_apnoea(breath: BreathName) -> None:
    assert not lying(PatientScript(breaths=(BreathEvent(from_s=10.0, breath=breath),)), 0.2)


def test_the_rests_of_a_periodic_breath_are_apnoeas_each() -> None:
    rests = due(lying(PatientScript(breaths=(BreathEvent(from_s=10.0, for_s=300.0, breath="periodic"),)), 0.2))
    assert rests == ["apnoea"] * 5


def test_less_oxygen_is_due_from_where_it_is_below_90() -> None:
    script = PatientScript(blood=(BloodEvent(from_s=60.0, for_s=200.0, blood="desaturation", spo2=80.0, ramp_s=100.0),))
    (one,) = [one for one in lying(script, 0.1) if one.condition == "spo2-low"]
    assert one.since_s == pytest.approx(60.0 + 100.0 * 7.0 / 17.0, abs=1.5)
    assert one.to_s == one.since_s + 70.0
    mild = PatientScript(blood=(BloodEvent(from_s=60.0, blood="desaturation", spo2=91.0),))
    assert not due(lying(mild, 0.1))


def test_a_fever_is_due_when_the_core_reaches_38_1_however_it_came_there() -> None:
    fever = PatientScript(temperatures=(TemperatureEvent(from_s=600.0, core_cel=39.6, ramp_s=7200.0),))
    infection = PatientScript(rate_bpm=72.0, courses=(CourseEvent(from_s=600.0, course="infection", over_s=7200.0),))
    (one,) = [one for one in lying(fever, 2.5) if one.condition == "fever"]
    assert one.since_s == pytest.approx(600.0 + 7200.0 * 1.3 / 2.8, abs=2.0)
    assert "fever" in due(lying(infection, 2.5))
    cool = PatientScript(temperatures=(TemperatureEvent(from_s=600.0, core_cel=38.0, ramp_s=600.0),))
    assert not due(lying(cool, 1.0))


@pytest.mark.parametrize("course", ["infection", "bleeding", "respiratory"])
def test_a_course_is_due_as_deterioration_once_somebody_must_come(course: str) -> None:
    script = PatientScript(rate_bpm=76.0, courses=(CourseEvent(from_s=600.0, course=course, over_s=7200.0),))
    one, urgent = [one for one in lying(script, 2.5) if one.condition.endswith("deterioration")]
    assert 600.0 <= one.from_s < one.since_s < one.to_s < 2.5 * 3600.0
    assert (urgent.condition, urgent.due, urgent.from_s) == ("urgent-deterioration", True, one.since_s - 60.0)
    now = levels(Script(script, 0.0), np.array([one.since_s - 2.0, one.since_s]))
    columns = (76.0 * now.rate, now.breath_bpm, now.spo2, now.core_cel)
    rates, breaths, oxygens, cores = (np.asarray(column).tolist() for column in columns)
    before, then = (
        news2_points(Second(0.0, rates[k], breaths[k], oxygens[k], cores[k], arrested=False)) for k in (0, 1)
    )
    assert before < 5 <= then
    slight = PatientScript(rate_bpm=76.0, courses=(CourseEvent(from_s=600.0, course=course, severity=0.2),))
    assert "deterioration" not in due(lying(slight, 5.0))


def test_an_arrest_takes_breath_and_oxygen_with_it_and_neither_is_due(tmp_path: Path) -> None:
    path = tmp_path / "arrest.toml"
    path.write_text(
        'about = "arrest"\n[[patients]]\nrhythms = [{ rhythm = "asystole", from_s = 10.0, for_s = 60.0 }]\n'
        'blood = [{ blood = "desaturation", from_s = 15.0, for_s = 50.0, spo2 = 70.0, ramp_s = 20.0 }]\n'
    )
    run = Run(str(path), patients=1, seconds=90.0)
    assert [condition for condition, _, _ in due_in(run)] == ["asystole"]
    assert {"apnoea", "spo2-low"} <= {line.condition for line in run.truth if isinstance(line, AlarmLine)}


def test_what_an_arrest_leaves_is_due_once_blood_moves_again() -> None:
    run = Run("code-blue", patients=1, seconds=192.0)
    found = due_in(run)
    assert [condition for condition, _, _ in found] == [
        "ventricular-tachycardia",
        "ventricular-fibrillation",
        "asystole",
        "asystole",
        "spo2-low",
    ]
    racing, fibrillating, still, dying, blue = found
    assert (fibrillating[1:], dying[1:]) == ((21, 33), (99, 130))
    assert racing[1] < 15
    assert still[1] == 78, "not while it fibrillates"
    assert blue[2] == 190, "not before the heart has come back"
