"""Lungs, blood, skin, movement and brain do what the script says, and the sensors see it."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import signal
from sim_signals import Run

from device_sim.activity import Movement, moved_acceleration, movement, turned
from device_sim.brain import HEAD_M, Brain, brain_moments, instants, random_brain, source_axes, source_places_m
from device_sim.breath import Lungs, random_breath
from device_sim.course import levels, sinus_bpm, sinus_bpm_at
from device_sim.events import (
    ActivityEvent,
    BloodEvent,
    BrainEvent,
    BreathEvent,
    CourseEvent,
    RhythmEvent,
    TemperatureEvent,
)
from device_sim.script import PatientScript, Script, Span
from device_sim.tones import Tones
from device_sim.truth import VitalLine
from device_sim.wearable import ACCELERATION, GRAVITY, MCG, REFERENCE

Array = NDArray[np.float64]
T = np.arange(0.0, 400.0, 0.5)  # lungs remember some minutes


def scenario(folder: Path, table: str) -> str:
    path = folder / "one.toml"
    path.write_text(f'about = "one"\n[[patients]]\n{table}\n')
    return str(path)


def span(activity: str, from_s: float = 5.0, to_s: float = 25.0) -> Span[ActivityEvent]:
    return Span(ActivityEvent(activity=activity, from_s=from_s, for_s=to_s - from_s), from_s, to_s)


def lungs_of(*breaths: BreathEvent, breath_bpm: float = 15.0, repeat_s: float = 0.0) -> Lungs:
    script = Script(PatientScript(breath_bpm=breath_bpm, breaths=breaths), repeat_s)
    return Lungs(script, random_breath(default_rng(4), breath_bpm))


def test_a_scripted_breath_rate_is_reached_and_left_without_a_jump_of_phase() -> None:
    lungs = lungs_of(BreathEvent(breath="paced", from_s=60.0, for_s=120.0, rate_bpm=30.0))
    rate = 60.0 * np.diff(lungs.turns(T)) / 0.5
    assert rate[(T[1:] > 70.0) & (T[1:] < 180.0)].mean() == pytest.approx(30.0, rel=0.03)
    assert rate[T[1:] > 200.0].mean() == pytest.approx(15.0, rel=0.03)
    assert np.abs(np.diff(rate)).max() < 3.0


def test_breaths_do_not_depend_on_who_asks_when() -> None:
    event = BreathEvent(breath="paced", from_s=20.0, for_s=60.0, rate_bpm=24.0)
    whole = lungs_of(event, repeat_s=100.0).filling(T)
    asked = lungs_of(event, repeat_s=100.0)
    parts = [asked.filling(T[k : k + 7]) for k in range(0, len(T), 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-12)
    points = [asked.depth_at(t) * math.sin(2.0 * math.pi * asked.turns_at(t)) for t in T[-50:]]
    np.testing.assert_allclose(points, whole[-50:], atol=1e-9)


def depth_of(rhythm: str, *breaths: BreathEvent) -> Array:
    arrest = RhythmEvent(rhythm=rhythm, from_s=50.0, for_s=100.0)
    return levels(Script(PatientScript(rhythms=(arrest,), breaths=breaths), 0.0), T).depth


@pytest.mark.parametrize("rhythm", ["ventricular-fibrillation", "asystole", "pulseless", "agonal"])
def test_whose_heart_has_stopped_breathes_no_more_unless_somebody_does_it_for_them(rhythm: str) -> None:
    depth = depth_of(rhythm)
    assert np.all(depth[T <= 50.0] == 1.0)
    assert 0.3 < depth[T == 65.0][0] < 0.9
    assert depth[T == 100.0][0] == pytest.approx(0.7 if rhythm == "agonal" else 0.0), "the last are gasps"
    assert depth[T == 200.0][0] == pytest.approx(1.0)
    bag = depth_of(rhythm, BreathEvent(breath="paced", from_s=60.0, for_s=60.0, rate_bpm=10.0))
    assert bag[T == 100.0][0] == pytest.approx(1.0)


def test_an_arrest_that_turns_into_another_does_not_breathe_in_between() -> None:
    both = tuple(
        RhythmEvent(rhythm=r, from_s=s, for_s=60.0)
        for r, s in (("ventricular-fibrillation", 50.0), ("asystole", 110.0))
    )
    depth = levels(Script(PatientScript(rhythms=both), 0.0), T).depth
    assert np.all(depth[(T > 81.0) & (T < 169.0)] < 1e-9)


def test_where_there_is_no_pulse_the_truth_has_no_oxygen_but_what_is_scripted(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    stop = 'rhythms = [{ rhythm = "asystole", from_s = 5.0, for_s = 10.0 }]'
    low = 'blood = [{ blood = "desaturation", from_s = 4.0, spo2 = 80.0, ramp_s = 1.0 }]'
    path.write_text(f'about = "two"\n[[patients]]\n{stop}\n[[patients]]\n{stop}\n{low}\n')
    run = Run(str(path), patients=2, seconds=18.0)
    lines = [line for line in run.truth if isinstance(line, VitalLine)]
    one, two = ([line.spo2 for line in lines if line.patient == f"patient-000{k}"] for k in (1, 2))
    assert set(one[5:13]) == {None}
    assert one[3] == one[16] == 97.0
    assert two[10] == 80.0


def test_no_breath_moves_the_chest_in_apnoea_and_the_truth_says_zero(tmp_path: Path) -> None:
    run = Run(
        scenario(tmp_path, 'breaths = [{ breath = "apnoea", from_s = 12.0, for_s = 20.0, ramp_s = 1.0 }]'), seconds=40.0
    )
    chest = run.signal(0, 3)
    sos = signal.butter(2, (0.15, 0.6), "bandpass", fs=52.0, output="sos")
    moved = np.abs(signal.sosfiltfilt(sos, chest)).max(axis=0)
    assert moved[52 * 18 : 52 * 26].mean() < 0.35 * moved[52 * 2 : 52 * 10].mean()
    rates = [line.breath_rate_bpm for line in run.truth if isinstance(line, VitalLine)]
    assert set(rates[14:30]) == {0.0}
    assert min(rates[:10]) > 10.0


def test_cheyne_stokes_breathing_waxes_and_wanes_with_apnoeas_between() -> None:
    depth = lungs_of(BreathEvent(breath="periodic", from_s=0.0, ramp_s=0.0)).depth(T)
    apnoeic = depth < 0.05
    assert 0.2 < apnoeic.mean() < 0.5
    assert depth.max() > 1.2
    starts = T[1:][np.diff(apnoeic.astype(int)) == 1]
    np.testing.assert_allclose(np.diff(starts), 60.0, atol=1.0)


@pytest.mark.parametrize("spo2", [97.0, 90.0, 80.0])
def test_the_light_gives_the_saturation_that_is_true(tmp_path: Path, spo2: float) -> None:
    table = f'blood = [{{ blood = "desaturation", from_s = 0.0, spo2 = {spo2}, ramp_s = 0.0 }}]'
    run = Run(scenario(tmp_path, table), seconds=30.0)
    counts = run.signal(0, 2)
    sos = signal.butter(2, (0.7, 8.0), "bandpass", fs=100.0, output="sos")
    pulse = signal.sosfiltfilt(sos, counts)[:, 200:-200] / counts.mean(axis=1)[:, None]
    # Pulses of two wavelengths against each other: noise in either adds nothing to the covariance.
    ratio = np.mean(pulse[1] * pulse[2]) / np.mean(pulse[0] * pulse[2])
    assert 110.0 - 25.0 * ratio == pytest.approx(spo2, abs=1.5)
    vitals = [line for line in run.truth if isinstance(line, VitalLine)]
    assert vitals[-1].spo2 == spo2


def test_less_perfusion_is_a_smaller_pulse_in_the_same_light(tmp_path: Path) -> None:
    table = 'blood = [{ blood = "perfusion", from_s = 15.0, level = 0.2, ramp_s = 0.0 }]'
    light = Run(scenario(tmp_path, table), seconds=30.0).signal(0, 2)[2]
    sos = signal.butter(2, (0.7, 8.0), "bandpass", fs=100.0, output="sos")
    pulse = signal.sosfiltfilt(sos, light)
    assert pulse[1700:2800].std() == pytest.approx(0.2 * pulse[200:1300].std(), rel=0.3)
    assert light[1700:2800].mean() == pytest.approx(light[200:1300].mean(), rel=0.02)


def test_skin_follows_the_core_and_the_heart_follows_the_fever() -> None:
    fever = TemperatureEvent(from_s=100.0, core_cel=39.3, ramp_s=200.0)
    script = Script(PatientScript(rate_bpm=70.0, temperatures=(fever,)), 0.0)
    now = levels(script, np.array([0.0, 200.0, 500.0]))
    np.testing.assert_allclose(now.core_cel, [36.8, 38.05, 39.3])
    assert sinus_bpm(script, np.array([500.0]))[0] == pytest.approx(70.0 * (1.0 + 0.14 * 2.5))


def test_a_fever_is_read_on_the_skin(tmp_path: Path) -> None:
    warm = Run(scenario(tmp_path, "temperatures = [{ from_s = 0.0, core_cel = 39.3, ramp_s = 0.0 }]"), seconds=6.0)
    usual = Run(scenario(tmp_path, "rate_bpm = 70.0"), seconds=6.0)
    assert np.mean(warm.signal(0, 4) - usual.signal(0, 4)) == pytest.approx(0.8 * 2.5, abs=0.05)


def test_a_day_has_its_slowest_hour_at_night_and_its_warmest_in_the_evening() -> None:
    script = Script(PatientScript(hour=8.0), 0.0)
    hours = np.arange(0.0, 24.0, 0.25)
    now = levels(script, hours * 3600.0)
    assert (8.0 + hours[np.argmin(now.rate)]) % 24.0 == pytest.approx(4.0)
    assert (8.0 + hours[np.argmax(now.core_cel)]) % 24.0 == pytest.approx(18.0)
    assert np.ptp(now.core_cel) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("course", "rate", "breath", "spo2", "core"),
    [("infection", 1.5, 1.5, -4.0, 2.0), ("bleeding", 1.7, 1.6, -1.0, -0.5), ("respiratory", 1.3, 2.0, -12.0, 0.0)],
)
def test_a_course_takes_its_time_and_goes_where_it_is_known_to_go(
    course: str, rate: float, breath: float, spo2: float, core: float
) -> None:
    patient = PatientScript(courses=(CourseEvent(course=course, from_s=1000.0, over_s=7200.0),))
    now = levels(Script(patient, 0.0), np.array([900.0, 1000.0 + 720.0, 1000.0 + 7200.0, 20_000.0]))
    assert now.rate[0] == 1.0
    assert 1.0 < now.rate[1] < 1.0 + 0.1 * (rate - 1.0)
    assert now.rate[2] == now.rate[3] >= rate
    assert now.breath_bpm[2] >= 15.0 * breath
    assert now.spo2[2] <= 97.0 + spo2
    assert (now.core_cel[2] - 36.8 - core) * (1.0 if core >= 0.0 else -1.0) >= -1e-9
    assert now.spread[2] < 0.7, "a heart in trouble is stiff"


def test_one_point_of_time_is_worked_out_like_many() -> None:
    patient = PatientScript(
        hour=3.0,
        rhythms=(RhythmEvent(rhythm="tachycardia", from_s=50.0, for_s=60.0, rate_bpm=140.0, ramp_s=15.0),),
        courses=(CourseEvent(course="bleeding", from_s=20.0, for_s=100.0, over_s=60.0),),
    )
    for repeat_s in (0.0, 130.0):
        script = Script(patient, repeat_s)
        np.testing.assert_allclose([sinus_bpm_at(script, t) for t in T.tolist()], sinus_bpm(script, T), rtol=1e-12)


def test_the_next_edge_is_the_next_beginning_or_end_also_where_a_script_repeats() -> None:
    patient = PatientScript(rhythms=(RhythmEvent(rhythm="pauses", from_s=10.0, for_s=5.0),))
    once, again = Script(patient, 0.0), Script(patient, 30.0)
    assert [once.next_edge(t) for t in (0.0, 10.0, 11.0, 15.5)] == [10.0, 10.0, 15.0, math.inf]
    assert [again.next_edge(t) for t in (16.0, 40.0, 41.0, 100.0)] == [40.0, 40.0, 45.0, 100.0]


def test_a_device_turned_upright_feels_gravity_along_the_body() -> None:
    t = np.arange(0.0, 30.0, 0.02)
    lying = np.array([0.0, 0.0, GRAVITY])
    resting = np.broadcast_to(lying[:, None], (3, len(t)))
    seen = moved_acceleration(resting, lying, movement(span("getting-up"), t))
    np.testing.assert_allclose(seen[:, 0], lying)
    assert seen[1, len(t) // 2] > 0.9 * GRAVITY
    np.testing.assert_allclose(seen[:, -1], lying, atol=1e-9)


def test_turning_keeps_the_length_of_what_is_seen() -> None:
    rng = default_rng(5)
    field, turn = rng.standard_normal((3, 50)), 2.0 * rng.standard_normal((3, 50))
    np.testing.assert_allclose(np.sum(turned(field, turn) ** 2, axis=0), np.sum(field**2, axis=0))
    np.testing.assert_array_equal(turned(field, np.zeros((3, 50))), field)


@pytest.mark.parametrize("activity", ["walking", "turning", "getting-up", "cough", "compressions"])
def test_a_movement_has_an_end_and_does_not_depend_on_how_time_is_cut(activity: str) -> None:
    t = np.arange(0.0, 40.0, 0.01)
    whole = movement(span(activity), t)
    parts = [movement(span(activity), t[k : k + 100]) for k in range(0, len(t), 100)]
    for leaf, name in enumerate(Movement._fields):
        np.testing.assert_allclose(np.concatenate([part[leaf] for part in parts], axis=-1), whole[leaf], err_msg=name)
    for outside in (t < 5.0, t > 25.01):
        assert np.abs(whole.turn_rad[:, outside]).max() < 1e-9
        np.testing.assert_allclose(whole.light[outside], 1.0)
    assert np.abs(whole.turn_rad).max() > 0.01


@pytest.mark.parametrize("activity", ["walking", "cough", "compressions"])
def test_what_shakes_is_accelerated_against_the_way_that_it_shifts(activity: str) -> None:
    step_s = 1e-4  # as a cough begins it is pulled at once
    moved = movement(span(activity), np.arange(6.0, 20.0, step_s))
    shift, shake = moved.shift_m[2], moved.shake_ms2[2]
    bend = np.diff(shift, n=2) / step_s**2
    assert np.sum(bend * shake[1:-1]) / np.sum(shake**2) == pytest.approx(1.0, abs=0.01)
    # Back and forth: where it is far out it is pulled in.
    assert np.sum(shift * shake) < 0.0


def test_steps_are_counted_at_a_walking_rate(tmp_path: Path) -> None:
    table = 'activities = [{ activity = "walking", from_s = 5.0, for_s = 40.0 }]'
    steps = Run(scenario(tmp_path, table), seconds=40.0).signal(0, 3)[1, 52 * 12 :]
    f, power = signal.welch(steps - steps.mean(), fs=52.0, nperseg=1040)
    assert f[np.argmax(power)] == pytest.approx(1.8, abs=0.1)


def test_compressions_are_seen_in_light_and_motion_at_their_own_rate() -> None:
    run = Run("asystole-light", seconds=50.0)
    during = slice(30, 48)
    light, chest = run.signal(0, 2)[2], run.signal(0, 3)[2]
    for values, rate_hz in ((light, 100), (chest, 52)):
        part = values[during.start * rate_hz : during.stop * rate_hz]
        f, power = signal.welch(part - part.mean(), fs=rate_hz, nperseg=len(part))
        assert f[np.argmax(power)] == pytest.approx(110.0 / 60.0, abs=0.1)


def head_of(seed: int = 1) -> Brain:
    one = random_brain(default_rng(seed))
    alpha, beta, muscle = (Tones(*(leaf[None] for leaf in tones)) for tones in (one.alpha, one.beta, one.muscle))
    return Brain(alpha, beta, muscle, one.start[None])


def test_the_dipoles_of_a_head_lie_within_it_and_across_the_radius() -> None:
    places, axes = source_places_m(), source_axes()
    radius = np.sqrt(np.sum(places**2, axis=1))
    assert np.all((radius > 0.5 * HEAD_M) & (radius < HEAD_M))
    np.testing.assert_allclose(np.sum(places * axes, axis=1), 0.0, atol=1e-15)
    np.testing.assert_allclose(np.sum(axes**2, axis=1), 1.0)


def test_alpha_comes_with_closed_eyes_lies_at_10_hz_and_wanes_by_itself() -> None:
    event = Span(BrainEvent(brain="alpha", from_s=60.0), 60.0, 1e9)
    t = np.arange(0.0, 120.0, 0.004)
    alpha = brain_moments(head_of(), 0, [event], t)[0]
    before, after = alpha[t < 59.0], alpha[t > 62.0]
    assert after.std() > 2.5 * before.std()
    f, power = signal.welch(after, fs=250.0, nperseg=2500)
    assert power[(f >= 8.0) & (f <= 12.0)].sum() > 0.9 * power.sum()
    size = np.abs(signal.hilbert(after))
    assert np.percentile(size, 90.0) > 2.5 * np.percentile(size, 10.0)


def test_spikes_and_blinks_come_at_the_instants_that_the_truth_names() -> None:
    for kind, row in (("spikes", 8), ("blinks", 4)):
        event = Span(BrainEvent(brain=kind, from_s=5.0, for_s=100.0, per_min=12.0), 5.0, 105.0)
        t = np.arange(0.0, 120.0, 0.001)
        wave = brain_moments(head_of(), 0, [event], t)[row]
        tops, _ = signal.find_peaks(wave, height=0.8 * wave.max(), distance=300)
        told = instants(event, float(head_of().start[0]), 0.0, 120.0)
        np.testing.assert_allclose(t[tops], told, atol=0.01)
        assert len(told) == pytest.approx(20, abs=1)
        parts = [at for k in range(120) for at in instants(event, float(head_of().start[0]), float(k), float(k + 1))]
        assert parts == told, "however time is cut"
        assert np.diff(told).std() > 0.2


def test_a_blood_event_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"level=9\.0: need 0\.0 <= level <= 3\.0"):
        BloodEvent(blood="perfusion", from_s=0.0, level=9.0)


@pytest.mark.parametrize("device", ["reference", "nv-light-shield"])
def test_a_device_off_the_body_sees_neither_breath_nor_movement(tmp_path: Path, device: str) -> None:
    seen = []
    for body in ("breath_bpm = 15", 'breath_bpm = 25\nactivities = [{ activity = "turning", from_s = 1, for_s = 5 }]'):
        off = 'faults = [{ fault = "off-body", from_s = 0, for_s = 20 }]'
        seen.append(Run(scenario(tmp_path, f'device = "{device}"\n{body}\n{off}'), seconds=8.0))
    for stream in (MCG, REFERENCE, ACCELERATION):
        np.testing.assert_array_equal(seen[0].signal(0, stream), seen[1].signal(0, stream))


def test_a_head_moves_a_tenth_as_far_as_the_chest_with_each_breath(tmp_path: Path) -> None:
    def moved_by_breath(device: str) -> float:
        slow, fast = (
            Run(scenario(tmp_path, f'device = "{device}"\nbreath_bpm = {bpm}'), seconds=8.0).signal(0, ACCELERATION)
            for bpm in (15, 25)
        )
        return float(np.std(slow - fast))

    assert moved_by_breath("meg-cap") == pytest.approx(0.1 * moved_by_breath("reference"), rel=0.2)


def test_a_turn_in_bed_moves_a_gradiometer_in_an_open_ward_by_nanoteslas(tmp_path: Path) -> None:
    lying = 'device = "scalar-gradiometer-closed-open-ward"'
    turning = f'{lying}\nactivities = [{{ activity = "turning", from_s = 2, for_s = 10 }}]'
    still, moved = (Run(scenario(tmp_path, one), seconds=8.0).signal(0, MCG) for one in (lying, turning))
    change = np.abs(moved - still)
    assert change[:, :900].max() < 0.02
    assert 2e3 < np.median(change[:, -500:]) < 30e3


def test_the_magnet_of_an_nv_sensor_cools_with_a_device_off_the_body(tmp_path: Path) -> None:
    worn = 'device = "nv-light-shield"'
    off = f'{worn}\nfaults = [{{ fault = "off-body", from_s = 2, for_s = 60 }}]'
    warm, cold = (Run(scenario(tmp_path, one), seconds=16.0).signal(0, REFERENCE) for one in (worn, off))
    change = np.median((cold - warm)[:, -500:], axis=-1)
    assert np.all(np.abs((cold - warm)[:, :900]) < 0.2)
    # A cooler magnet is a stronger one; all diamonds sit in its field.
    assert np.all(change > 1000.0)
