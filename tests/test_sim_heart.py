"""Hearts beat as their scripts ask."""

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray

from device_sim.breath import Lungs, random_breath
from device_sim.events import BreathEvent, RhythmEvent
from device_sim.heart import Heart
from device_sim.physiology import Beat, rate_over
from device_sim.script import PatientScript, Script

Array = NDArray[np.float64]


def heart_of(*events: RhythmEvent, rate_bpm: float = 75.0, breath_bpm: float = 15.0, seed: int = 1) -> Heart:
    script = Script(PatientScript(rate_bpm=rate_bpm, breath_bpm=breath_bpm, rhythms=events), 0.0)
    return Heart(script, Lungs(script, random_breath(default_rng(seed), breath_bpm)), default_rng(seed + 1000))


def times_of(beats: list[Beat]) -> Array:
    return np.array([beat.time_s for beat in beats])


def power_of(times: Array, f_hz: Array) -> Array:
    """Power of the intervals, taken at the beats as they fall: a spline through them would take some of the faster."""
    rr, at = np.diff(times), times[1:]
    swing = (rr - np.average(rr, weights=rr)) * rr * np.hanning(len(rr))
    return np.array([abs(np.sum(swing * np.exp(-2j * np.pi * f * at))) ** 2 for f in f_hz])


@pytest.mark.parametrize(
    ("rate_bpm", "sdnn_ms", "lf_hf", "breath_bpm"),
    [(70.0, 34.0, 0.5, 15.0), (60.0, 60.0, 1.5, 12.0), (85.0, 25.0, 2.0, 20.0), (75.0, 40.0, 0.3, 18.0)],
)
def test_rr_intervals_have_the_mean_sdnn_balance_and_respiratory_peak_that_were_asked_for(
    rate_bpm: float, sdnn_ms: float, lf_hf: float, breath_bpm: float
) -> None:
    script = Script(PatientScript(rate_bpm=rate_bpm, sdnn_ms=sdnn_ms, lf_hf=lf_hf, breath_bpm=breath_bpm), 0.0)
    for seed in range(2):
        heart = Heart(script, Lungs(script, random_breath(default_rng(seed), breath_bpm)), default_rng(seed + 1000))
        times = times_of(heart.advance(3600.0))
        rr = np.diff(times)
        assert rr.mean() == pytest.approx(60.0 / rate_bpm, rel=0.05)
        assert 1e3 * rr.std() == pytest.approx(sdnn_ms, rel=0.05)
        f = np.arange(0.02, 0.5, 1 / 7200)
        power = power_of(times, f)
        low, high = (f >= 0.04) & (f < 0.15), (f >= 0.15) & (f < 0.4)
        assert power[low].sum() / power[high].sum() == pytest.approx(lf_hf, rel=0.05)
        smooth = np.convolve(power, np.ones(73) / 73, "same")
        assert 60.0 * f[np.argmax(smooth * (f > 0.15))] == pytest.approx(breath_bpm, rel=0.05)


def test_beats_do_not_depend_on_how_time_is_cut() -> None:
    events = (
        RhythmEvent(rhythm="ectopy", from_s=3.0, for_s=20.0),
        RhythmEvent(rhythm="atrial-fibrillation", from_s=30.0),
    )
    whole = heart_of(*events).advance(60.0)
    cut = heart_of(*events)
    assert [beat for k in range(240) for beat in cut.advance(0.25 * (k + 1))] == whole


def test_asystole_is_abrupt_and_as_long_as_scripted() -> None:
    times = times_of(heart_of(RhythmEvent(rhythm="asystole", from_s=20.0, for_s=12.0)).advance(60.0))
    assert not np.any((times >= 20.0) & (times < 32.0))
    assert np.diff(times).max() >= 12.0
    assert times[times < 20.0].max() > 19.0
    assert times[times > 32.0].min() < 33.0


@pytest.mark.parametrize("for_s", [1200.0, 2e6])
def test_a_breath_is_what_the_script_asks_for_while_a_long_silence_lasts(for_s: float) -> None:
    script = Script(
        PatientScript(
            rhythms=(RhythmEvent(rhythm="asystole", from_s=10.0, for_s=for_s),),
            breaths=(BreathEvent(breath="paced", rate_bpm=30.0, from_s=0.0),),
        ),
        0.0,
    )
    lungs = Lungs(script, random_breath(default_rng(1), 15.0))
    heart = Heart(script, lungs, default_rng(2))
    turns = []
    for second in range(60):
        heart.advance(float(second))
        turns.append(lungs.turns_at(float(second)))
    assert np.median(60.0 * np.diff(turns)) == pytest.approx(30.0, rel=0.1)


def test_lungs_refuse_to_guess_what_they_have_forgotten() -> None:
    script = Script(PatientScript(breaths=(BreathEvent(breath="paced", rate_bpm=30.0, from_s=0.0),)), 0.0)
    lungs = Lungs(script, random_breath(default_rng(1), 15.0))
    lungs.turns_at(2000.0)
    with pytest.raises(ValueError, match="asked for 10 s and know the time from"):
        lungs.turns_at(10.0)


@pytest.mark.parametrize(("rhythm", "rate_bpm"), [("bradycardia", 33.0), ("tachycardia", 170.0)])
def test_a_scripted_rate_is_reached_in_a_ramp_over_beats_and_left_again(rhythm: str, rate_bpm: float) -> None:
    event = RhythmEvent(rhythm=rhythm, from_s=20.0, for_s=30.0, rate_bpm=rate_bpm, ramp_s=5.0)
    times = times_of(heart_of(event, rate_bpm=70.0).advance(90.0))
    rate, at = 60.0 / np.diff(times), times[1:]
    assert rate[(at > 28.0) & (at < 50.0)] == pytest.approx(rate_bpm, rel=0.1)
    assert np.median(rate[at > 60.0]) == pytest.approx(70.0, rel=0.1)
    # From beat to beat the rate changes by a step that a heart can make.
    assert np.abs(np.diff(np.log(rate))).max() < 0.45


@pytest.mark.parametrize("rate_bpm", [95.0, 150.0, 180.0, 240.0])
def test_atrial_fibrillation_is_irregular_without_memory_or_p_waves_at_any_rate(rate_bpm: float) -> None:
    beats = heart_of(RhythmEvent(rhythm="atrial-fibrillation", from_s=0.0, rate_bpm=rate_bpm)).advance(600.0)[15:]
    rr = np.diff(times_of(beats))
    assert not any(beat.atrial for beat in beats)
    assert rr.mean() == pytest.approx(60.0 / rate_bpm, rel=0.05)
    assert rr.std() / rr.mean() == pytest.approx(0.22, rel=0.1)
    assert len(np.unique(np.round(rr, 6))) > 0.97 * len(rr), "no interval comes again and again"
    assert abs(np.corrcoef(rr[1:], rr[:-1])[0, 1]) < 0.1


def test_an_ectopic_beat_comes_early_and_is_followed_by_a_full_pause() -> None:
    beats = heart_of(RhythmEvent(rhythm="ectopy", from_s=0.0)).advance(600.0)
    at = [k for k, beat in enumerate(beats) if beat.kind == "V"]
    assert 0.08 < len(at) / len(beats) < 0.25
    for k in at[1:-1]:
        assert beats[k].rr_s < 0.7 * beats[k + 1].rr_s
        assert beats[k].rr_s + beats[k + 1].rr_s == pytest.approx(1.6, rel=0.2)
        assert not beats[k].atrial


def test_the_rate_is_that_of_the_last_8_intervals_within_10_s() -> None:
    assert rate_over([0.0], 1.0) is None
    assert rate_over([0.0, 1.0], 1.0) == pytest.approx(60.0)
    fast = [0.5 * k for k in range(40)]
    assert rate_over(fast, 19.5) == pytest.approx(120.0)
    assert rate_over([*fast, 25.0], 30.0) is None
    slow = [2.0 * k for k in range(20)]
    assert rate_over(slow, 38.5) == pytest.approx(30.0)
    assert rate_over([*slow, 38.1], 38.05) == pytest.approx(30.0), "later beats do not count"


def test_the_breath_rate_is_the_mean_that_was_asked_for_and_wanders() -> None:
    breath = random_breath(default_rng(9), 18.0)
    rates = 60.0 * np.diff(breath.turns(np.arange(3600.0)))
    assert rates.mean() == pytest.approx(18.0, rel=0.01)
    assert 0.02 < rates.std() / rates.mean() < 0.06
