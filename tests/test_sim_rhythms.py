"""Each rhythm is what its name says, in its intervals and in the field of the heart."""

import warnings

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import signal

from device_sim.breath import Lungs, random_breath
from device_sim.events import RHYTHMS, RhythmEvent, RhythmName, StEvent
from device_sim.flutter import QUIVERING, VF_SIZE, atrial_fibrillation, quivering
from device_sim.heart import Heart
from device_sim.heartvector import R_DIRECTION, heart_vectors
from device_sim.physiology import Beat
from device_sim.rhythms import SILENT, Now, steps, ventricular_bpm
from device_sim.script import Episode, PatientScript, Script
from device_sim.spad import pulse_strength

Array = NDArray[np.float64]
RATE_HZ = 500.0


def script_of(*events: RhythmEvent, rate_bpm: float = 72.0, st: tuple[StEvent, ...] = ()) -> Script:
    return Script(PatientScript(rate_bpm=rate_bpm, rhythms=events, st=st), 0.0)


def beats_of(script: Script, seconds: float, seed: int = 3) -> list[Beat]:
    lungs = Lungs(script, random_breath(default_rng(seed), script.patient.breath_bpm))
    return Heart(script, lungs, default_rng(seed + 100)).advance(seconds)


def rhythm(name: str, seconds: float = 300.0, rate_bpm: float = 0.0) -> list[Beat]:
    """Beats of a rhythm that has always been there."""
    return beats_of(script_of(RhythmEvent(rhythm=name, from_s=0.0, rate_bpm=rate_bpm)), seconds)


def times(beats: list[Beat]) -> Array:
    return np.array([beat.time_s for beat in beats])


def lead(script: Script, beats: list[Beat], seconds: float) -> Array:
    """Clean lead along the R peak, at 500 Hz."""
    n = round(seconds * RATE_HZ)
    both = heart_vectors([(0, beat) for beat in beats], np.array([[0.04, -0.05, 0.03]]), np.zeros(1), n, RATE_HZ)[0]
    vector = both[:3] + both[3:]
    for episode in script.episodes(0.0, seconds):
        if episode.rhythm in QUIVERING:
            vector += quivering(episode, np.arange(n) / RATE_HZ, 6.2, 0.3)
    along: Array = R_DIRECTION @ vector
    return along


def test_ventricular_tachycardia_is_fast_regular_wide_and_hardly_moves_blood() -> None:
    beats = rhythm("ventricular-tachycardia", 60.0)[3:]
    rr = np.diff(times(beats))
    assert {beat.kind for beat in beats} == {"V"}
    assert rr.mean() == pytest.approx(60.0 / 170.0, rel=0.02)
    assert rr.std() < 0.03 * rr.mean()
    assert max(pulse_strength(beat) for beat in beats) < 0.25


def test_a_focus_takes_over_from_one_beat_to_the_next() -> None:
    event = RhythmEvent(rhythm="ventricular-tachycardia", from_s=20.0, for_s=10.0)
    beats = beats_of(script_of(event), 40.0)
    within = [beat for beat in beats if 21.0 < beat.time_s < 30.0]
    assert all(beat.kind == "V" and beat.rr_s < 0.4 for beat in within[1:])
    assert all(beat.kind == "N" for beat in beats if beat.time_s < 20.0 or beat.time_s > 31.0)


def test_runs_have_three_to_eight_ventricular_beats() -> None:
    kinds = "".join(beat.kind for beat in rhythm("ventricular-runs", 900.0))
    runs = [run for run in kinds.split("N") if run]
    assert len(runs) > 20
    assert {len(run) for run in runs} <= set(range(3, 9))
    assert len({len(run) for run in runs}) > 3


def test_bigeminy_alternates() -> None:
    kinds = "".join(beat.kind for beat in rhythm("bigeminy", 120.0)[2:])
    assert kinds.replace("NV", "") in ("", "V", "N")
    beats = [beat for beat in rhythm("bigeminy", 120.0)[4:] if beat.kind == "V"]
    assert np.median([beat.rr_s for beat in beats]) == pytest.approx(0.6 * 60.0 / 72.0, rel=0.1)


def test_an_atrial_ectopic_beat_is_early_narrow_and_not_fully_compensated() -> None:
    beats = rhythm("atrial-ectopy", 600.0)
    at = [k for k, beat in enumerate(beats) if beat.kind == "S"][1:-1]
    assert 0.08 < len(at) / len(beats) < 0.25
    for k in at:
        assert beats[k].rr_s < 0.8 * 60.0 / 72.0
        assert beats[k].rr_s + beats[k + 1].rr_s < 1.95 * 60.0 / 72.0


def test_flutter_beats_fall_on_the_turns_of_the_atria() -> None:
    beats = rhythm("atrial-flutter")[3:]
    turns = times(beats) * 5.0
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-6)
    ratios = np.rint(np.diff(turns)).astype(int)
    assert np.median(ratios) == 2
    assert set(ratios.tolist()) == {2, 3}
    assert not any(beat.atrial for beat in beats)


def test_sinus_pauses_are_long_but_no_asystole() -> None:
    rr = np.diff(times(rhythm("pauses", 900.0)))
    pauses = rr[rr > 1.6]
    assert len(pauses) > 10
    assert pauses.min() > 2.0
    assert pauses.max() < 3.8


@pytest.mark.parametrize(("name", "p_per_beat"), [("wenckebach", 4 / 3), ("mobitz", 3 / 2)])
def test_second_degree_block_drops_a_beat_for_a_p_wave_at_even_intervals(name: str, p_per_beat: float) -> None:
    beats = rhythm(name, 120.0)
    p_waves = times([beat for beat in beats if not beat.ventricles])[5:-5]
    conducted = [beat for beat in beats if beat.ventricles][5:-5]
    assert len(p_waves) / len(conducted) == pytest.approx(p_per_beat, rel=0.1)
    assert np.diff(p_waves).std() < 0.1
    before = [beat.time_s - p_waves[p_waves < beat.time_s].max() for beat in conducted[1:]]
    assert 0.1 < min(before) < max(before) < 0.35
    if name == "wenckebach":
        assert len({round(pr, 2) for pr in before}) == 3, "PR grows"
    dropped = np.diff(times(conducted)) > 1.4 * 60.0 / 72.0
    assert 0.2 < dropped.mean() < 0.6


@pytest.mark.parametrize("asked_bpm", [64.0, 150.0])
@pytest.mark.parametrize("name", [name for name in RHYTHMS if name not in SILENT])
def test_the_mean_rate_that_is_said_of_a_rhythm_is_the_one_that_it_has(name: RhythmName, asked_bpm: float) -> None:
    rng, now_s, beats = default_rng(5), 0.0, 0
    while beats < 4000:
        for step in steps(name, Now(now_s, 60.0 / asked_bpm, 0.0, 0.04), rng):
            now_s += step.after_s
            beats += step.shape != "atrium"
    said = float(ventricular_bpm(name, np.array([asked_bpm]))[0])
    assert said == pytest.approx(60.0 * beats / now_s, rel=0.02)


@pytest.mark.parametrize("name", SILENT)
def test_a_heart_that_does_not_beat_has_no_rate(name: RhythmName) -> None:
    assert np.isnan(ventricular_bpm(name, np.array([70.0]))).all()


@pytest.mark.parametrize(("name", "moves"), [("pulseless", False), ("agonal", False), ("sinus", True)])
def test_without_a_pulse_no_beat_moves_blood(name: str, moves: bool) -> None:  # noqa: FBT001 - a parameter of the test
    beats = [beat for beat in rhythm(name, 120.0) if beat.time_s > 10.0]
    assert beats
    assert all((pulse_strength(beat) > 0.5) is moves for beat in beats)


def test_an_agonal_rhythm_is_slow_small_and_wide() -> None:
    script = script_of(RhythmEvent(rhythm="agonal", from_s=0.0))
    beats = beats_of(script, 120.0)
    assert 6 < 60.0 / np.diff(times(beats)).mean() < 20
    dying, sound = lead(script, beats[3:], 120.0), lead(script_of(), beats_of(script_of(), 120.0), 120.0)
    assert np.abs(dying).max() < 0.5 * np.abs(sound).max()
    assert np.abs(np.diff(dying)).max() < 0.15 * np.abs(np.diff(sound)).max()


def test_nothing_beats_in_ventricular_fibrillation_and_what_follows_at_once_is_seen_too() -> None:
    events = (
        RhythmEvent(rhythm="ventricular-fibrillation", from_s=10.0, for_s=10.0),
        RhythmEvent(rhythm="asystole", from_s=20.0, for_s=10.0),
        RhythmEvent(rhythm="agonal", from_s=30.0),
    )
    beats = beats_of(script_of(*events), 90.0)
    assert not [beat for beat in beats if 10.0 <= beat.time_s < 30.0]
    assert {beat.shape for beat in beats if beat.time_s > 30.0} == {"agonal"}


def test_ventricular_fibrillation_has_its_power_between_3_and_7_hz_and_no_line() -> None:
    t = np.arange(60 * 500) / RATE_HZ
    wave = quivering(Episode("ventricular-fibrillation", 0.0, 1e9, 0.0), t, 6.0, 0.3)
    assert 0.1 < np.abs(wave).std(axis=1).max() < np.abs(VF_SIZE).max() * 2
    for axis in wave:
        f, power = signal.welch(axis, fs=RATE_HZ, nperseg=5000)
        assert power[(f >= 3.0) & (f <= 7.0)].sum() > 0.8 * power.sum()
        assert power.max() < 0.25 * power.sum(), "it is no tone"
        assert 3.0 < f[np.argmax(power)] < 7.0


@pytest.mark.parametrize("f_wave_hz", [5.0, 6.2, 7.5])
def test_f_waves_hold_4_to_9_hz(f_wave_hz: float) -> None:
    wave = atrial_fibrillation(np.arange(60_000) / RATE_HZ, f_wave_hz, 0.1)
    f, power = signal.welch(wave, fs=RATE_HZ, nperseg=5000)
    assert np.all(power[:, (f >= 4.0) & (f <= 9.0)].sum(axis=1) > 0.75 * power.sum(axis=1))
    peak = f[np.argmax(power.sum(axis=0))]
    assert 4.0 < peak < 9.0


def test_atrial_fibrillation_passes_a_test_of_irregularity_and_sinus_rhythm_does_not() -> None:
    def irregular(beats: list[Beat]) -> bool:
        """Normalised RMSSD and Shannon entropy of successive differences, as AF detectors ask (Dash 2009)."""
        rr = np.diff(times(beats))
        change = np.diff(rr)
        rmssd = float(np.sqrt(np.mean(change**2)) / rr.mean())
        counts, _ = np.histogram(rr, bins=16, range=tuple(np.percentile(rr, [2.0, 98.0])))
        share = counts[counts > 0] / counts.sum()
        entropy = float(-np.sum(share * np.log(share)) / np.log(16))
        turning = float(np.mean(change[1:] * change[:-1] < 0.0))
        return rmssd > 0.1 and entropy > 0.7 and 0.54 < turning < 0.77

    for seed in range(5):
        fibrillating = script_of(RhythmEvent(rhythm="atrial-fibrillation", from_s=0.0, rate_bpm=95.0))
        assert irregular(beats_of(fibrillating, 300.0, seed)[5:])
        assert not irregular(beats_of(script_of(), 300.0, seed)[5:])


@pytest.mark.parametrize("rate_bpm", [48.0, 72.0, 120.0])
def test_qt_follows_the_rate_and_the_t_wave_ends_where_the_truth_says(rate_bpm: float) -> None:
    script = script_of(rate_bpm=rate_bpm)
    beats = beats_of(script, 120.0)
    last = beats[-3]
    assert last.settled_rr_s == pytest.approx(60.0 / rate_bpm, rel=0.05)
    alone = lead(script, [last._replace(time_s=1.0)], 2.0)
    qt_s = 0.047 + 0.353 * np.sqrt(min(last.settled_rr_s, 1.2))
    after = np.abs(alone[round(1.15 * RATE_HZ) :])
    end_s = 1.15 + np.flatnonzero(after > 0.10 * after.max())[-1] / RATE_HZ
    assert end_s - (1.0 - 0.047) == pytest.approx(qt_s, abs=0.02)


def test_qt_does_not_jump_with_a_single_interval() -> None:
    beats = rhythm("atrial-fibrillation", 300.0, 90.0)
    settled = np.array([beat.settled_rr_s for beat in beats])
    assert np.abs(np.diff(settled)).max() < 0.1


@pytest.mark.parametrize("st", [0.3, -0.2])
def test_an_st_shift_lifts_what_lies_between_qrs_and_t(st: float) -> None:
    script = script_of(st=(StEvent(from_s=0.0, st=st, ramp_s=1.0),))
    (normal,), (shifted,) = ([beats_of(one, 60.0)[40]] for one in (script_of(), script))
    change = lead(script, [shifted._replace(time_s=1.0)], 2.0) - lead(script, [normal._replace(time_s=1.0)], 2.0)
    at = round(1.11 * RATE_HZ)
    assert np.sign(change[at]) == np.sign(st)
    # The current of injury points to the front, QRS to the back: a lead along the R peak sees a quarter of it.
    assert np.abs(change[at]) > 0.25 * abs(st)
    assert np.abs(change[: round(1.02 * RATE_HZ)]).max() < 0.05 * abs(st)


@pytest.mark.parametrize(
    ("name", "rate_bpm"),
    [
        ("sinus", 50.0),
        ("sinus", 70.0),
        ("sinus", 110.0),
        ("bradycardia", 34.0),
        ("tachycardia", 160.0),
        ("atrial-fibrillation", 95.0),
        ("atrial-ectopy", 70.0),
        ("wenckebach", 74.0),
    ],
)
def test_a_detector_that_knows_nothing_of_us_finds_the_true_beats(name: str, rate_bpm: float) -> None:
    seconds = 200.0
    script = script_of(RhythmEvent(rhythm=name, from_s=0.0, rate_bpm=rate_bpm), rate_bpm=rate_bpm)
    beats = beats_of(script, seconds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb brings pandas, which warns of itself
        from wfdb.processing import xqrs_detect  # noqa: PLC0415 - takes a second to import

        found = xqrs_detect(lead(script, beats, seconds), RATE_HZ, verbose=False) / RATE_HZ
    true = times([beat for beat in beats if beat.ventricles and 1.0 < beat.time_s < seconds - 1.0])
    nearest = found[np.argmin(np.abs(found[:, None] - true), axis=0)]
    late = nearest - true
    assert np.mean(np.abs(late - np.median(late)) <= 0.010) >= 0.999
    # Its first second is for learning.
    assert len(found[(found > 0.9) & (found < seconds - 0.9)]) <= len(true) + 1
