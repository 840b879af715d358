"""Scenarios are read or refused with a reason, and the truth says what must be noticed, and no more."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sim_signals import START_NS, Run

from device_sim.events import RHYTHMS
from device_sim.expected import Expected, FaultExpectations
from device_sim.faults import FAULTS, Fault
from device_sim.foreseen import HARD
from device_sim.heartwatch import HeartExpectations
from device_sim.scenario import load_scenario, names, script_of
from device_sim.truth import (
    AlarmLine,
    BeatLine,
    EventLine,
    FaultLine,
    PatientLine,
    RhythmLine,
    VitalLine,
    encode_line,
    read_truth,
)


def expectations(times: list[float]) -> list[Expected]:
    heart = HeartExpectations()
    found = [one for time in times for one in heart.beat(time)]
    return [*found, *heart.close(times[-1])]


def required(expected: list[Expected]) -> list[str]:
    return [one.condition for one in expected if one.required]


@pytest.mark.parametrize("name", ["ward", "quiet", "rhythms", "faults"])
def test_a_built_in_scenario_is_there(name: str) -> None:
    assert name in names()
    assert load_scenario(name).about


def test_the_library_shows_every_rhythm_and_every_fault() -> None:
    patients = [script for name in names() for script in load_scenario(name).patients]
    assert {event.rhythm for script in patients for event in script.rhythms} | {"sinus"} == set(RHYTHMS)
    assert {event.fault for script in patients for event in script.faults} == set(FAULTS)


def test_an_unknown_scenario_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ValueError, match=f"'wrad' is unknown: allowed are {', '.join(names())}, or the path"):
        load_scenario("wrad")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("rate_bpm = -3.0", "rate_bpm=-3.0: need 20.0 <= rate_bpm <= 250.0"),
        ('faults = [{ fault = "explosion", from_s = 1.0 }]', "fault 'explosion' is unknown: allowed are saturation"),
        ('rhythms = [{ rhythm = "waltz", from_s = 1.0 }]', "rhythm 'waltz' is unknown: allowed are sinus"),
        ('rhythms = [{ rhythm = "asystole", from_s = -1.0 }]', "from_s=-1.0: need 0.0 <= from_s"),
        ("heart = 70", "unknown field `heart`"),
        (
            'faults = [{ fault = "noise", from_s = 1.0 }, { fault = "stuck", from_s = 9.0, for_s = 1.0 }]',
            r"events at 1\.\.inf s and 9\.\.10 s of one patient overlap",
        ),
    ],
)
def test_a_bad_scenario_is_refused_with_the_place_and_what_is_allowed(
    tmp_path: Path, table: str, complaint: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(f'about = "bad"\n[[patients]]\n{table}\n')
    with pytest.raises(ValueError, match=complaint) as refusal:
        load_scenario(str(path))
    assert "bad.toml" in str(refusal.value)


def test_a_scenario_repeats_and_serves_any_number_of_patients(tmp_path: Path) -> None:
    path = tmp_path / "again.toml"
    path.write_text(
        'about = "again"\nrepeat_s = 60.0\n[[patients]]\n'
        'faults = [{ fault = "stuck", from_s = 50.0, for_s = 10.0 }]\n[[patients]]\n'
    )
    scenario = load_scenario(str(path))
    script = script_of(scenario, 4)
    assert script.faults(0.0, 180.0) == [Fault("stuck", at, at + 10.0) for at in (50.0, 110.0, 170.0)]
    assert script.faults(111.0, 112.0) == [Fault("stuck", 110.0, 120.0)]
    assert not script_of(scenario, 3).faults(0.0, 180.0)


def test_a_pause_of_4_s_is_asystole_from_4_s_after_the_last_beat() -> None:
    heart = HeartExpectations()
    for beat in (0.5, 1.3, 2.1):
        assert not heart.beat(beat)
    assert not heart.silence(6.2)
    one, pause = heart.silence(6.5)
    assert (pause.condition, pause.required, pause.due) == ("pause", False, False), "that is how it begins"
    assert (one.condition, one.from_s, one.to_s, one.required) == ("asystole", 5.6, 8.1, True)
    assert not heart.silence(9.0)


def test_a_pause_at_the_edge_of_the_definition_may_be_alarmed_but_need_not() -> None:
    expected = expectations([0.0, 1.0, 5.0, 6.0])
    assert [(one.condition, one.required, one.due) for one in expected] == [
        ("asystole", False, False),
        ("pause", False, True),
    ]


def test_five_slow_intervals_are_extreme_bradycardia() -> None:
    fast = [0.8 * k for k in range(10)]
    slow = [fast[-1] + 1.8 * (k + 1) for k in range(10)]
    (one,) = [one for one in expectations([*fast, *slow]) if one.condition == "extreme-bradycardia"]
    assert one.required
    # The 5th slow beat ends the 5th slow interval or the 4th after the first, as one counts.
    assert one.from_s <= slow[3]
    assert one.to_s >= slow[4]


def test_one_long_pause_is_no_required_bradycardia() -> None:
    times = [0.8 * k for k in range(10)]
    expected = expectations([*times, *(times[-1] + 13.0 + 0.8 * k for k in range(10))])
    assert required(expected) == ["asystole"]
    assert {one.condition for one in expected if not one.required} == {"pause", "extreme-bradycardia"}
    assert [one.condition for one in expected if one.due] == ["asystole"]


def test_slow_beats_just_above_the_limit_are_nothing() -> None:
    assert not expectations([1.45 * k for k in range(30)])


def test_seventeen_fast_intervals_are_extreme_tachycardia_and_fifteen_need_not_be() -> None:
    calm = [0.8 * k for k in range(10)]
    assert not required(expectations([*calm, *(calm[-1] + 0.35 * (k + 1) for k in range(15)), calm[-1] + 7.0]))
    (one,) = expectations([*calm, *(calm[-1] + 0.35 * (k + 1) for k in range(40))])
    assert (one.condition, one.required) == ("extreme-tachycardia", True)
    assert one.from_s < calm[-1] + 0.35 * 17 < one.to_s


@pytest.mark.parametrize(("length_s", "found"), [(5.0, []), (11.0, [False]), (15.0, [True])])
def test_lost_contact_is_due_10_s_after_the_last_packet(length_s: float, found: list[bool]) -> None:
    expected = FaultExpectations(0.1).begun(Fault("silence", 20.0, 20.0 + length_s))
    assert [one.required for one in expected] == found
    for one in expected:
        # The packet of 19.60 to 19.85 is the last: the next one would have ended within the silence.
        assert (one.from_s, one.to_s) == pytest.approx((27.85, 31.85))


def test_a_saturated_sensor_is_noticed_from_the_packet_in_which_it_begins() -> None:
    first = FaultExpectations(phase_s=0.1).begun(Fault("saturation", 20.0, 30.0))[0]
    assert (first.condition, first.from_s, first.to_s, first.required) == ("saturated", 19.75, 26.0, True)


def test_the_ward_of_12_holds_each_of_its_events_within_50_s() -> None:
    run = Run("ward", patients=12, seconds=60.0)
    alarms = [line for line in run.truth if isinstance(line, AlarmLine) and line.required]
    assert sorted(line.condition for line in alarms) == [
        "asystole",
        "extreme-bradycardia",
        "extreme-tachycardia",
        "frozen",
        "lost-contact",
        "saturated",
    ]
    assert max(line.to_ns for line in alarms) < START_NS + 50e9
    assert len({line.patient for line in alarms}) == 6
    rhythms = {line.rhythm for line in run.truth if isinstance(line, RhythmLine)}
    assert {"asystole", "bradycardia", "tachycardia", "atrial-fibrillation", "ectopy", "sinus"} <= rhythms
    assert any(line.kind == "V" for line in run.truth if isinstance(line, BeatLine))
    assert {line.fault for line in run.truth if isinstance(line, FaultLine)} == {"silence", "saturation", "stuck"}


@pytest.mark.parametrize("name", names())
def test_required_windows_agree_with_the_true_beats(name: str) -> None:
    n = len(load_scenario(name).patients)
    run = Run(name, patients=n, seconds=45.0)
    beats: dict[str, list[float]] = {}
    for line in run.truth:
        if isinstance(line, BeatLine):
            beats.setdefault(line.patient, []).append(line.time_ns / 1e9)
    hard = {line.patient for line in run.truth if isinstance(line, RhythmLine) and line.rhythm in HARD}
    moving = {line.patient for line in run.truth if isinstance(line, EventLine) and line.what == "activity"}
    for patient, times in beats.items():
        assert times == sorted(times)
        if patient in hard | moving:
            continue  # what is due then is not required
        rr = np.diff(times)
        conditions = {
            line.condition
            for line in run.truth
            if isinstance(line, AlarmLine) and line.patient == patient and line.required
        }
        slow = np.convolve(rr > 60.0 / 40.0, np.ones(5), "valid") == 5
        fast = np.convolve(rr < 60.0 / 140.0, np.ones(17), "valid") == 17
        assert ("asystole" in conditions) == bool(rr.max() >= 4.2)
        assert ("extreme-bradycardia" in conditions) == bool(slow.any())
        assert ("extreme-tachycardia" in conditions) == bool(fast.any())
        for line in run.truth:
            if (
                isinstance(line, AlarmLine)
                and line.patient == patient
                and line.condition == "asystole"
                and line.required
            ):
                gap = int(np.argmax(rr))
                assert line.from_ns / 1e9 < times[gap] + 4.0 < line.to_ns / 1e9


def test_truth_has_a_line_per_patient_and_a_vital_per_second(tmp_path: Path) -> None:
    run = Run("quiet", patients=3, seconds=20.0)
    path = tmp_path / "truth.jsonl"
    path.write_bytes(b"".join(encode_line(line) + b"\n" for line in run.truth))
    lines = list(read_truth(path))
    assert lines == run.truth
    assert [line.patient for line in lines if isinstance(line, PatientLine)] == [
        "patient-0001",
        "patient-0002",
        "patient-0003",
    ]
    vitals = [line for line in lines if isinstance(line, VitalLine) and line.patient == "patient-0002"]
    assert [line.second for line in vitals] == list(range(vitals[0].second, vitals[0].second + len(vitals)))
    assert len(vitals) >= 19
    assert vitals[-1].heart_rate_bpm == pytest.approx(58.0, rel=0.1)
    assert vitals[-1].breath_rate_bpm == pytest.approx(12.0, rel=0.2)
    assert json.loads(encode_line(next(line for line in lines if isinstance(line, BeatLine))))["class"] == "N"


def test_what_could_only_be_noticed_after_the_end_is_not_required() -> None:
    run = Run("ward", patients=2, seconds=24.0)
    (asystole,) = [line for line in run.truth if isinstance(line, AlarmLine) and line.condition == "asystole"]
    assert (asystole.required, asystole.due) == (False, False)


def test_the_truth_topic_tells_the_beats_of_each_packet() -> None:
    run = Run("quiet", patients=2, seconds=10.0)
    told = [beat["time_ns"] for note in run.notes[1] for beat in msgspec.json.decode(note)["beats"]]
    patient = run.fleet.names[1].patient
    assert told == [line.time_ns for line in run.truth if isinstance(line, BeatLine) and line.patient == patient]
