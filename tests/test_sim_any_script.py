"""Whatever may be scripted can be lived: time goes forward, values are numbers, nobody depends on the others."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from sim_signals import Run

from device_sim.breath import Lungs, random_breath
from device_sim.course import levels
from device_sim.events import (
    ACTIVITIES,
    BLOODS,
    BRAINS,
    BREATHS,
    COURSES,
    RHYTHMS,
    ActivityEvent,
    BloodEvent,
    BrainEvent,
    BreathEvent,
    CourseEvent,
    RhythmEvent,
    StEvent,
    TemperatureEvent,
)
from device_sim.heart import Heart
from device_sim.script import PatientScript, Script

when = st.floats(0.0, 40.0)
length = st.sampled_from([0.0, 0.01, 0.5, 7.0, 20.0])
ramp = st.sampled_from([0.0, 0.3, 5.0])


def as_toml(value: object) -> str:
    """Value as it stands in a TOML file, on one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {as_toml(part)}' for key, part in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(part) for part in value)}]"
    return msgspec.json.encode(value).decode()


def one(**parts: st.SearchStrategy[object]) -> dict[str, st.SearchStrategy[object]]:
    return {"from_s": when, "for_s": length, **parts}


def some(kind: type, **parts: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """One event of a kind, or none: two might overlap."""
    return st.lists(st.builds(kind, **one(**parts)), max_size=1).map(tuple)


scripts = st.builds(
    PatientScript,
    rate_bpm=st.floats(20.0, 250.0),
    lf_hf=st.floats(0.05, 20.0),
    breath_bpm=st.floats(4.0, 60.0),
    spo2=st.floats(50.0, 100.0),
    hour=st.sampled_from([-1.0, 0.0, 13.5]),
    rhythms=some(
        RhythmEvent, rhythm=st.sampled_from(RHYTHMS), rate_bpm=st.sampled_from([0.0, 5.0, 90.0, 300.0]), ramp_s=ramp
    ),
    st=some(StEvent, st=st.floats(-1.0, 1.0), t_wave=st.floats(-3.0, 3.0), ramp_s=ramp),
    breaths=some(BreathEvent, breath=st.sampled_from(BREATHS), rate_bpm=st.sampled_from([0.0, 4.0, 60.0]), ramp_s=ramp),
    blood=some(BloodEvent, blood=st.sampled_from(BLOODS), spo2=st.floats(50.0, 100.0), level=st.floats(0.0, 3.0)),
    temperatures=some(TemperatureEvent, core_cel=st.floats(30.0, 42.0), ramp_s=ramp),
    courses=some(CourseEvent, course=st.sampled_from(COURSES), severity=st.floats(0.0, 1.5), over_s=st.just(30.0)),
)
repeats = st.sampled_from([0.0, 61.0])


@given(script=scripts, repeat_s=repeats, share=st.floats(0.0, 1.0))
def test_every_heart_beats_on_forwards_however_time_is_cut(
    script: PatientScript, repeat_s: float, share: float
) -> None:
    wild = msgspec.structs.replace(script, sdnn_ms=share * 0.3 * 60e3 / script.rate_bpm)

    def heart() -> Heart:
        scene = Script(wild, repeat_s)
        return Heart(scene, Lungs(scene, random_breath(default_rng(1), wild.breath_bpm)), default_rng(2))

    whole = heart().advance(90.0)
    times = np.array([beat.time_s for beat in whole])
    assert np.all(np.diff(times) > 0.0)
    assert all(np.isfinite(beat.lungs) and beat.rr_s > 0.0 for beat in whole)
    again, parts = heart(), []
    for k in range(1, 91):
        parts += again.advance(float(k))
    assert parts == whole


@given(script=scripts, repeat_s=repeats)
def test_every_body_stays_a_body(script: PatientScript, repeat_s: float) -> None:
    t = np.linspace(0.0, 200.0, 401)
    now = levels(Script(script, repeat_s), t)
    assert all(np.all(np.isfinite(values)) for values in now)
    assert np.all((now.spo2 >= 40.0) & (now.spo2 <= 100.0))
    assert np.all(now.breath_bpm > 0.0)
    assert np.all((now.depth >= 0.0) & (now.perfusion >= 0.0) & (now.rate > 0.0))
    assert np.all((now.core_cel > 25.0) & (now.core_cel < 47.0))


@settings(max_examples=12)
@given(
    script=scripts,
    repeat_s=repeats,
    activity=st.sampled_from(ACTIVITIES),
    brain=st.sampled_from(BRAINS),
    device=st.sampled_from(["reference", "meg-cap", "scalar-gradiometer-open-ward"]),
)
def test_every_script_runs_and_its_packets_match_their_birth(
    tmp_path_factory: pytest.TempPathFactory,
    script: PatientScript,
    repeat_s: float,
    activity: str,
    brain: str,
    device: str,
) -> None:
    moving = () if script.rhythms else (ActivityEvent(activity=activity, from_s=1.0, for_s=3.0),)
    thinking = (BrainEvent(brain=brain, from_s=0.5, for_s=4.0, per_min=60.0),)
    table = msgspec.structs.replace(script, device=device, activities=moving, brain=thinking)
    path = tmp_path_factory.mktemp("any") / "any.toml"
    content = {"about": "any", "repeat_s": repeat_s, "patients": [msgspec.to_builtins(table)]}
    path.write_text("".join(f"{key} = {as_toml(value)}\n" for key, value in content.items()))
    run = Run(str(path), seconds=5.0)
    assert run.packets(0)
    assert np.all(np.isfinite(run.signal(0, 0)))


@pytest.mark.parametrize("scenario", ["code-blue", "ward-morning", "deterioration"])
def test_an_eventful_patient_does_not_depend_on_how_many_others_there_are(scenario: str) -> None:
    few, many = Run(scenario, patients=2, seconds=24.0), Run(scenario, patients=5, seconds=24.0)
    for device in range(2):
        assert few.raw[device] == many.raw[device]
    mine = few.fleet.names[0].patient
    told, again = ([line for line in run.truth if getattr(line, "patient", "") == mine] for run in (few, many))
    assert told == again
