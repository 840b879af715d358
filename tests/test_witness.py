"""What one sensor's beats say is what a walk over them finds, and what is weighed is what was said."""

from itertools import pairwise

import laws
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rings import as_of, every, ring_of

from anomaly import intervals
from anomaly.judgement import (
    ARRHYTHMIAS,
    FITS,
    LEAST,
    Arrhythmia,
    Judge,
    Ventricles,
    contradicted,
    in_words,
    probability,
)
from anomaly.kernel import Array
from anomaly.ventricular_run import likeliest_run
from anomaly.witness import Heard, Witness

NOTHING = Witness().hear(intervals.empty(1, 64), as_of(120.0))


def hear(times: list[float], now: float = 120.0, height: list[float] | None = None, quality: float = 1.0) -> Heard:
    ring = ring_of(times, n_kept=64)
    if height is not None:
        marks = np.zeros((1, 64, 1), np.float16)
        marks[0, 64 - len(height) :, 0] = height
        ring = ring._replace(marks=marks)
    return Witness().hear(ring._replace(quality=(ring.quality * quality).astype(np.float32)), as_of(now))


def told(alarm: Arrhythmia, heart: Heard, *pulses: Heard) -> tuple[float, int]:
    """Probability of an alarm by the flow's constants, and whose word decided."""
    opinion = Judge().hear(alarm, heart, pulses)
    return float(probability(opinion, FITS[alarm])[0]), int(opinion.witness[0])


@given(st.lists(st.floats(0.25, 6.0), min_size=1, max_size=50), st.floats(0.0, 5.0))
def test_what_is_heard_is_what_a_walk_over_the_beats_finds(rr_s: list[float], late_s: float) -> None:
    times = (np.rint((10.0 + np.cumsum(rr_s)) * 1e3) / 1e3).tolist()
    now = times[-1] + late_s
    found = hear(times, now)
    inside = [at for at in times if round((now - at) * 1e9) < 14e9]
    edges = [now - 14.0, *inside, now]
    assert found.pause_s[0] == pytest.approx(max(b - a for a, b in pairwise(edges)), abs=1e-6)
    for n, slowest, fastest in ((5, found.slowest_bpm, found.burst_bpm), (13, None, found.fastest_bpm)):
        rates = [60.0 * (n - 1) / (times[k] - times[k - n + 1]) for k in range(n - 1, len(times)) if times[k] in inside]
        assert np.isclose(fastest[0], max(rates, default=np.nan), equal_nan=True)
        if slowest is not None:
            assert np.isclose(slowest[0], min(rates, default=np.nan), equal_nan=True)
    assert found.trust[0] == (1.0 if inside else 0.0)


def test_a_row_alone_hears_what_it_hears_in_a_bank() -> None:
    generator = np.random.default_rng(0)
    times = [np.cumsum(generator.uniform(0.3, 2.0, 40)).tolist() for _ in range(17)]
    bank, now = ring_of(*times, n_kept=64), np.full(17, 30_000_000_000)
    bank = bank._replace(marks=generator.uniform(0.1, 1.0, (17, 64, 1)).astype(np.float16))
    together = Witness().hear(bank, now)
    for k in range(17):
        one = slice(k, k + 1)
        laws.same(Witness().hear(laws.rows(bank, one), now[one]), laws.rows(together, one))


def test_beats_of_poor_quality_end_no_pause() -> None:
    times = every(0.8, 25)
    assert hear(times, quality=0.4).pause_s[0] == 14.0
    assert hear(times, quality=0.6).pause_s[0] < 1.0


def test_a_pause_farther_back_is_no_pause_that_goes_on() -> None:
    ring = ring_of([*every(0.8, 8), *every(0.8, 13, 110.0)])
    assert Witness().hear(ring, as_of(120.0)).pause_s[0] == pytest.approx(4.0)
    assert Witness(pause_span_s=6.0).hear(ring, as_of(120.0)).pause_s[0] < 1.0


def test_a_pulse_that_loses_height_for_one_beat_is_out_of_step() -> None:
    times = every(0.8, 25)
    assert hear(times, height=[1.0] * 25).unsteady[0] < 0.1
    assert hear(times, height=[1.0] * 20 + [0.3] + [1.0] * 4).unsteady[0] == pytest.approx(0.7, abs=0.05)
    assert np.isnan(hear(every(0.8, 4, 116.0)).unsteady[0])


def test_a_pulse_that_has_stopped_is_out_of_step_before_its_next_beat() -> None:
    assert hear(every(0.8, 22), now=120.0).unsteady[0] > 2.0


def test_a_pulse_that_goes_on_contradicts_an_asystole_and_one_that_stops_confirms_it() -> None:
    stopped, beating = hear(every(0.8, 19)), hear(every(0.8, 25))
    assert told("asystole", stopped)[0] > 0.5
    assert told("asystole", stopped, stopped)[0] > 0.5
    chance, witness = told("asystole", stopped, NOTHING, beating)
    assert chance < 0.01
    assert witness == 2


def test_poor_quality_alone_contradicts_nothing() -> None:
    nothing, poor = NOTHING, hear(every(0.37, 54), quality=0.1)
    for alarm in ("asystole", "ventricular-fibrillation"):
        assert told(alarm, nothing)[0] >= LEAST, alarm
        assert told(alarm, nothing, nothing, nothing)[0] >= LEAST, alarm
        assert told(alarm, poor, poor)[0] >= LEAST, alarm
    assert told("ventricular-tachycardia", nothing, nothing)[0] == 1.0
    assert told("ventricular-tachycardia", hear(every(0.4, 50)), hear(every(0.4, 50)[::3], quality=0.1))[0] >= LEAST


@pytest.mark.parametrize(
    ("alarm", "heart_rr", "pulse_rr"),
    [
        ("extreme-bradycardia", 1.8, 0.9),
        ("extreme-tachycardia", 0.35, 0.7),
        ("ventricular-tachycardia", 0.4, 0.8),
        ("ventricular-fibrillation", 0.3, 0.8),
    ],
)
def test_a_trusted_pulse_goes_before_the_hearts_own_signal(alarm: Arrhythmia, heart_rr: float, pulse_rr: float) -> None:
    heart = hear(every(heart_rr, int(20 / heart_rr) + 1))
    times = every(pulse_rr, int(20 / pulse_rr) + 1)
    pulse, weak = hear(times, height=[1.0] * len(times)), hear(times[::4], quality=0.2)
    assert told(alarm, heart)[0] > 0.5
    assert told(alarm, heart, pulse)[0] < LEAST
    assert told(alarm, heart, weak)[0] >= LEAST
    assert contradicted(np.array([told(alarm, heart, pulse)[0]]), LEAST).all()


def test_a_heart_that_is_nowhere_fast_has_no_ventricular_tachycardia() -> None:
    assert told("ventricular-tachycardia", hear(every(0.8, 25)))[0] < LEAST


def test_beats_that_are_not_ventricular_are_no_ventricular_tachycardia_unless_the_wave_has_no_pauses() -> None:
    fast, no, calm = hear(every(0.4, 50)), np.array([np.nan]), np.array([-3.0])
    judge, alarm = Judge(), ARRHYTHMIAS[4]

    def chance(run: float, wave: Array) -> float:
        opinion = judge.hear(alarm, fast, (), Ventricles(np.array([run]), wave, no))
        return float(probability(opinion, FITS[alarm])[0])

    assert chance(0.1, calm) < LEAST <= chance(0.9, calm)
    assert chance(0.1, np.array([4.0])) >= LEAST
    assert chance(np.nan, no) >= LEAST


def test_a_fibrillation_that_one_lead_does_not_show_is_none() -> None:
    alarm, no = ARRHYTHMIAS[3], np.array([np.nan])
    for odds, true in ((5.0, True), (-5.0, False)):
        opinion = Judge().hear(alarm, NOTHING, (), Ventricles(no, no, np.array([odds])))
        assert (probability(opinion, FITS[alarm])[0] >= LEAST) == true


def test_the_likeliest_run_counts_a_beat_without_a_class_as_a_toss_of_a_coin() -> None:
    times = every(0.5, 12, 110.0)
    chances = [0.0] * 5 + [1.0] * 3 + [0.2]  # the last three have no class yet
    classed = ring_of(times[:9], n_kept=64)
    classed.quality[0, -9:] = chances
    heart = ring_of(times, n_kept=64)
    run = likeliest_run(heart, classed, as_of(115.6))
    windows = np.lib.stride_tricks.sliding_window_view(np.array([*chances, 0.5, 0.5, 0.5]), 5)
    assert run[0] == pytest.approx(windows.mean(axis=-1).max())
    assert np.isnan(likeliest_run(intervals.empty(1, 64), intervals.empty(1, 64), as_of(115.6))[0])


@pytest.mark.parametrize("alarm", ARRHYTHMIAS)
def test_every_opinion_can_be_said_in_words(alarm: Arrhythmia) -> None:
    assert in_words(alarm, float("nan"), ("the ECG",), -1) == "no sensor knows anything of it"
    assert "the light pulse" in in_words(alarm, 0.7, ("the ECG", "the light pulse"), 1)


def test_what_cannot_be_heard_or_judged_by_is_refused() -> None:
    with pytest.raises(ValueError, match="span_s"):
        Witness(span_s=0.0)
    with pytest.raises(ValueError, match="pause_span_s"):
        Witness(span_s=6.0, pause_span_s=7.0)
    with pytest.raises(ValueError, match="trust"):
        Judge(trust=1.0)
