"""Every scenario runs through the whole flow, the truth says what should be noticed, and bad ones are refused."""

from pathlib import Path

import pytest
from sim_flow import Found, flowed

from dataflows.priorities import HIDES
from dataflows.rules import RULES
from deploy.score import score_alarms
from device_sim.devices import DEVICES
from device_sim.events import ACTIVITIES, BLOODS, BRAINS, BREATHS, COURSES
from device_sim.scenario import load_scenario, names
from device_sim.truth import AlarmLine, EventLine, FaultLine, RhythmLine, VitalLine

SECONDS = 24.0  # of each scenario, here; `make scenarios` plays them whole
KNOWN = {rule.condition for rule in RULES}


def scripted(name: str) -> list[str]:
    """Names of all that happens in a scenario."""
    return [event.name for script in load_scenario(name).patients for event in script.events]


def test_the_library_is_large_and_shows_everything_that_can_happen() -> None:
    assert len(names()) >= 24
    shown = {happens for name in names() for happens in scripted(name)}
    assert {*BREATHS, *BLOODS, *ACTIVITIES, *COURSES, *BRAINS} - {"paced", "shallow"} <= shown


@pytest.mark.parametrize(
    "name", [name if i % 2 else pytest.param(name, marks=pytest.mark.long) for i, name in enumerate(names())]
)
def test_a_scenario_goes_through_the_whole_flow(name: str) -> None:
    patients = min(4, len(load_scenario(name).patients))
    found = flowed(name, patients, SECONDS)
    score = score_alarms(found.truth, found.alarms, found.end_ns)
    assert not score.missed
    assert not score.false
    assert {row.patient for row in found.vitals} == set(found.truth.patients)


@pytest.mark.long
@pytest.mark.parametrize("name", names())
def test_a_whole_scenario_goes_through_the_whole_flow(name: str) -> None:
    scenario = load_scenario(name)
    found = flowed(name, len(scenario.patients), min(scenario.seconds, 300.0))
    score = score_alarms(found.truth, found.alarms, found.end_ns)
    assert not score.missed
    assert not score.false


@pytest.fixture(scope="module")
def code_blue() -> Found:
    return flowed("code-blue", 1, 140.0)


def test_the_truth_of_a_code_says_every_rhythm_event_and_what_should_have_been_noticed(code_blue: Found) -> None:
    rhythms = [line.rhythm for line in code_blue.lines if isinstance(line, RhythmLine)]
    assert rhythms == [
        "sinus",
        "ventricular-runs",
        "ventricular-tachycardia",
        "ventricular-fibrillation",
        "asystole",
        "agonal",
        "tachycardia",
    ]
    events = {(line.what, line.name) for line in code_blue.lines if isinstance(line, EventLine)}
    assert events == {("activity", "compressions"), ("breath", "apnoea"), ("blood", "desaturation")}
    said = {line.condition for line in code_blue.lines if isinstance(line, AlarmLine)}
    assert {"ventricular-tachycardia", "ventricular-fibrillation", "asystole", "apnoea", "spo2-low"} <= said
    required = {line.condition for line in code_blue.lines if isinstance(line, AlarmLine) and line.required}
    assert required <= KNOWN, "only what the flow knows can be required"
    due = {line.condition for line in code_blue.lines if isinstance(line, AlarmLine) and line.due}
    assert due == {"ventricular-tachycardia", "ventricular-fibrillation", "asystole"}, "no breath is part of an arrest"
    unknown = score_alarms(code_blue.truth, code_blue.alarms, code_blue.end_ns).unknown
    assert {line.condition for line in unknown} == due - KNOWN


def test_the_vitals_of_a_code_are_those_of_a_body_and_not_of_a_sensor(code_blue: Found) -> None:
    origin = min(line.second for line in code_blue.lines if isinstance(line, VitalLine))
    at = {line.second - origin: line for line in code_blue.lines if isinstance(line, VitalLine)}
    assert at[3].heart_rate_bpm == pytest.approx(105.0, rel=0.15)
    assert at[3].pulse_rate_bpm == pytest.approx(105.0, rel=0.15)
    assert at[3].spo2 == pytest.approx(91.0)
    assert at[60].heart_rate_bpm is None
    assert at[60].pulse_rate_bpm is None, "compressions are no pulse of this heart"
    assert at[60].breath_rate_bpm == 0.0
    assert at[95].spo2 == pytest.approx(62.0, abs=1.0)
    assert at[135].heart_rate_bpm == pytest.approx(124.0, rel=0.05)
    assert at[135].breath_rate_bpm > 20.0


@pytest.mark.parametrize(
    ("name", "seconds", "condition"),
    [
        ("bigeminy", 28.0, "bigeminy"),
        ("pauses", 28.0, "pause"),
        ("ventricular-runs", 28.0, "ventricular-run"),
        pytest.param("atrial-fibrillation", 75.0, "atrial-fibrillation", marks=pytest.mark.long),
    ],
)
def test_a_rhythm_is_named_and_its_onset_lies_in_it(name: str, seconds: float, condition: str) -> None:
    found = flowed(name, 1, seconds)
    score = score_alarms(found.truth, found.alarms, found.end_ns)
    told = {alarm.condition for alarm in found.alarms}
    hidden = {name for other in told for name in HIDES.get(other, ())}  # by what is worse, as it is with a rate so low
    assert condition in told | hidden
    assert not score.false


@pytest.mark.long
@pytest.mark.parametrize("name", ["sinus", "quiet", "ectopy"])
def test_breathing_and_single_ectopic_beats_are_no_fibrillation(name: str) -> None:
    found = flowed(name, 2, 120.0)
    told = [row.af for row in found.vitals if row.af == row.af]
    assert len(told) > 100
    assert max(told) < 0.3


def test_a_device_that_is_taken_off_is_a_fault_too() -> None:
    found = flowed("off-body", 1, 30.0)
    (fault,) = [line for line in found.lines if isinstance(line, FaultLine)]
    (event,) = [line for line in found.lines if isinstance(line, EventLine)]
    assert (fault.fault, event.name) == ("off-body", "device-off")
    assert (fault.from_ns, fault.to_ns) == (event.from_ns, event.to_ns)


def test_a_chest_that_is_compressed_may_hide_an_asystole_but_not_before() -> None:
    found = flowed("asystole-light", 1, 40.0)
    (asystole,) = [line for line in found.lines if isinstance(line, AlarmLine) and line.required]
    assert asystole.condition == "asystole"
    assert any(alarm.condition == "asystole" for alarm in found.alarms)


@pytest.mark.parametrize("name", ["pulseless", "off-body-light"])
def test_the_light_and_the_field_of_a_scenario_contradict_each_other(name: str) -> None:
    found = flowed(name, 1, 44.0)
    late = [row for row in found.vitals if 34 <= row.second - found.vitals[0].second <= 40]
    if name == "pulseless":
        assert all(abs(row.hr.value - 52.0) < 8.0 for row in late)
        assert not any(row.pulse.quality > 0.5 for row in late)
    else:
        assert all(row.pulse.value == pytest.approx(84.0, abs=2.0) for row in late)


BAD = [
    ("rate_bpm = -3.0", 4, "rate_bpm=-3.0: need 20.0 <= rate_bpm <= 250.0"),
    ('device = "mystery"', 4, f"device 'mystery' is unknown: allowed are {', '.join(DEVICES)}"),
    ('faults = [{ fault = "explosion", from_s = 1.0 }]', 4, "fault 'explosion' is unknown: allowed are saturation"),
    (
        'faults = [\n    { fault = "noise", from_s = 1.0, for_s = 2.0 },\n    { fault = "boom", from_s = 9.0 },\n]',
        6,
        "fault 'boom' is unknown: allowed are",
    ),
    ('rhythms = [{ rhythm = "waltz", from_s = 1.0 }]', 4, "rhythm 'waltz' is unknown: allowed are sinus, bradycardia"),
    ('breaths = [{ breath = "sigh", from_s = 1.0 }]', 4, "breath 'sigh' is unknown: allowed are paced, shallow"),
    ('activities = [{ activity = "ski", from_s = 1.0 }]', 4, "activity 'ski' is unknown: allowed are walking"),
    ('courses = [{ course = "luck", from_s = 1.0 }]', 4, "course 'luck' is unknown: allowed are infection"),
    ('rate_bpm = 70.0\nrhythms = [{ rhythm = "asystole", from_s = -1.0 }]', 5, "from_s=-1.0: need 0.0 <= from_s"),
    ('blood = [{ blood = "desaturation", from_s = 1.0, spo2 = 120.0 }]', 4, "spo2=120.0: need 50.0 <= spo2 <= 100.0"),
    ("rate_bpm = 70.0\nheart = 70", 5, "unknown field `heart`"),
    (
        'hour = 9.0\nrhythms = [\n { rhythm = "agonal", from_s = 1.0 },\n { rhythm = "pauses", from_s = 9.0 },\n]',
        5,
        "rhythms: events at 1..inf s and 9..inf s of one patient overlap",
    ),
    (
        'rhythms = [{ rhythm = "asystole", from_s = 5.0 }]\nactivities = [{ activity = "walking", from_s = 9.0 }]',
        5,
        "activity 'walking' at 9 s during asystole: nobody does that; allowed then are turning, compressions",
    ),
    (
        "temperatures = [{ from_s = 1.0, core_cel = 39.0 }, { from_s = 9.0, core_cel = 35.0 }]",
        4,
        "temperatures: events at 1..inf s and 9..inf s of one patient overlap",
    ),
    (
        'blood = [{ blood = "desaturation", from_s = 1.0 }, { blood = "desaturation", from_s = 9.0 }]',
        4,
        "blood: events at 1..inf s and 9..inf s of one patient overlap",
    ),
    *(
        (
            f'device = "{device}"\nfaults = [{{ fault = "{fault}", from_s = 1.0 }}]',
            5,
            f"fault '{fault}' on device '{device}': its sensors have no heater; allowed on it are saturation, ",
        )
        for device in ("he4-room", "nv-open-ward")
        for fault in ("cell-cooling", "heater-line")
    ),
    ('record = "records/101"', 4, "record='records/101': no file .*101.hea"),
    (
        "rate_bpm = 70.0\n[[patients]]\nrate_bpm = 60.0\nst = [{ from_s = 1.0, st = 4.0 }]",
        7,
        "st=4.0: need -1.0 <= st <= 1.0",
    ),
    ('rhythms = [{ rhythm = "asystole" }]', 4, "missing required field `from_s`"),
    ('rate_bpm = 70.0\nspo2 = "high"', 5, "Expected `float`, got `str`"),
]


@pytest.mark.parametrize(("table", "line", "complaint"), BAD)
def test_a_bad_scenario_is_refused_with_its_line_and_what_is_allowed(
    tmp_path: Path, table: str, line: int, complaint: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(f'about = "bad"\n\n[[patients]]\n{table}\n')
    with pytest.raises(ValueError, match=r"bad\.toml") as refusal:
        load_scenario(str(path))
    said = str(refusal.value)
    assert f"bad.toml line {line}: " in said, said
    plain = complaint.split(".*")
    assert all(part in said for part in plain), said


def test_less_oxygen_and_less_blood_in_the_skin_may_be_at_once(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    both = '{ blood = "desaturation", from_s = 1.0 }, { blood = "perfusion", from_s = 9.0 }'
    path.write_text(f'about = "both"\n[[patients]]\nblood = [{both}]\n')
    assert len(load_scenario(str(path)).patients[0].blood) == 2


def test_an_event_that_outlasts_the_repetition_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text(
        'about = "long"\nrepeat_s = 20.0\n[[patients]]\n[[patients]]\nst = [{ from_s = 15.0, for_s = 9.0 }]\n'
    )
    with pytest.raises(ValueError, match=r"long\.toml line 5: an event at 15 s does not end within repeat_s=20"):
        load_scenario(str(path))


def test_what_is_no_toml_is_refused_with_the_line_that_the_parser_gives(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('about = "broken"\nrepeat_s = = 3\n')
    with pytest.raises(ValueError, match=r"broken\.toml: .*line 2"):
        load_scenario(str(path))


def test_the_scenario_that_the_readme_shows_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (shown,) = [block for block in readme.split("```toml\n")[1:] if block.startswith("about = ")]
    path = tmp_path / "shown.toml"
    path.write_text(shown.partition("```")[0])
    (script,) = load_scenario(str(path)).patients
    assert len(script.events) == 4
