"""One patient out of many lanes: which heart rate to believe, and what is wrong."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from anomaly.deterioration import QUIET
from anomaly.motion import OffBodyEvidence, off_body
from anomaly.quality import Reason
from anomaly.ventricular_watch import SLOWEST_BPM
from dataflows.alarms import COLUMN, Evidence, nothing_known
from dataflows.breathing import Breath
from dataflows.courses import Course
from dataflows.estimates import BoolArray, FloatArray, IntArray, Second
from dataflows.events import SECOND_NS, Condition
from dataflows.witnesses import keeps_step, word_of

GOOD_QUALITY = 0.5  # a source of this quality is believed by itself
POOR_QUALITY = 0.3  # below it, a source is not believed
PULSE_PROOF_NS = 3 * SECOND_NS  # a pulse this young proves that the heart beats
NO_PULSE_NS = 10 * SECOND_NS  # without one, where there is light: no blood moves
APNOEA_S = 20.0  # without breath
FROZEN_NS = 2 * SECOND_NS
WIDER = 3.0  # times the uncertainty of a pulse: a rate as uncertain as that yields to it
MANY_ECTOPIC = 0.15  # share of the beats: their pulses are missing from the light
RATE_DISAGREEMENT = 0.2  # share by which a good pulse contradicts a rate out of the cardiac lane

RateAlarm = Literal["extreme-bradycardia", "extreme-tachycardia"]
SOURCES = ("none", "mcg", "ppg", "mcg+ppg")

Say = Callable[[Condition, IntArray, IntArray, FloatArray, IntArray | int], None]


class Fused(NamedTuple):
    """Vitals of n patients, shape (n,) each."""

    hr: FloatArray
    hr_u: FloatArray
    hr_quality: FloatArray
    source: IntArray  # index into SOURCES


def fused(second: Second) -> Fused:
    """Make one heart rate out of the cardiac and the optical lane, by quality.

    A good cardiac lane speaks alone: the pulse lags it by the transit time. Two middling ones that agree are averaged
    by their variances. A lane under `POOR_QUALITY` is not believed; with none left the rate is NaN.
    """
    heart, light = second.cardiac, second.optical
    q_heart = np.where(np.isfinite(heart.hr), heart.quality, 0.0)
    q_light = np.where(np.isfinite(light.pulse), light.quality, 0.0)
    heart_ok, light_ok = q_heart >= POOR_QUALITY, q_light >= POOR_QUALITY
    agree = np.abs(heart.hr - light.pulse) <= 5.0
    both = heart_ok & light_ok & agree & (q_heart < GOOD_QUALITY)
    # A beat missed or invented widens the uncertainty of a rate beyond that of a pulse which contradicts it.
    outspoken = (q_light >= GOOD_QUALITY) & ~agree & (heart.hr_scatter_u > WIDER * light.pulse_u)
    # But early beats drive little blood: where they are known to be ectopic, a slower pulse contradicts nothing.
    outspoken &= ~((heart.ectopic >= MANY_ECTOPIC) & (q_heart >= GOOD_QUALITY) & (light.pulse < heart.hr))
    by_heart = heart_ok & ~both & ~outspoken & ((q_heart >= GOOD_QUALITY) | (q_heart >= q_light))
    by_light = light_ok & ~both & ~by_heart

    w_heart, w_light = 1.0 / np.square(heart.hr_u), 1.0 / np.square(light.pulse_u)
    mean = (heart.hr * w_heart + light.pulse * w_light) / (w_heart + w_light)
    choose = [by_heart, by_light, both]
    return Fused(
        hr=np.select(choose, [heart.hr, light.pulse, mean], np.nan),
        hr_u=np.select(choose, [heart.hr_u, light.pulse_u, 1.0 / np.sqrt(w_heart + w_light)], np.nan),
        hr_quality=np.select(choose, [q_heart, q_light, np.maximum(q_heart, q_light)], 0.0),
        source=np.select(choose, [1, 2, 3], 0),
    )


def at_rest(second: Second, vitals: Fused, breath: Breath) -> FloatArray:
    """Heart rate, breath rate, saturation and skin temperature as a course is judged by, shape (n, 4); else NaN.

    Who moves is not at rest, and what has an alarm of its own is no course.
    """
    heart = second.cardiac
    spoken_of = (
        (heart.asystole == 1) | (heart.bradycardia == 1) | (heart.tachycardia == 1) | (heart.vf == 1) | (heart.vt == 1)
    )
    rest = ~second.motion.moving & ~spoken_of
    hr = np.where(rest & (vitals.hr_quality >= GOOD_QUALITY), vitals.hr, np.nan)
    resp = np.where(rest & (breath.quality >= GOOD_QUALITY), breath.rate, np.nan)
    light = second.optical
    spo2 = np.where(~second.motion.moving & (light.spo2_quality >= GOOD_QUALITY), light.spo2, np.nan)
    return np.stack([hr, resp, spo2, second.thermal.temp], axis=-1)


def evidence(second: Second, vitals: Fused, breath: Breath, course: Course, end_ns: IntArray) -> Evidence:
    """Tell what is true of every condition at the end of a second.

    A poor signal alone never talks an asystole away. Positive proof of an artefact does (saturation, lost lock, a
    device off the body by motion, temperature and light): then it is *not known*, and one that stands goes on
    standing. A trusted pulse of another sensor that contradicts does (`dataflows.witnesses`): then there is none, and
    one that stands ends. A pulse that says the same stands in the reason.
    """
    heart, light = second.cardiac, second.optical
    known = nothing_known(len(end_ns))

    def say(condition: Condition, truth: IntArray, onset_ns: IntArray, value: FloatArray, why: IntArray | int) -> None:
        column = COLUMN[condition]
        known.truth[:, column] = truth
        known.onset_ns[:, column] = onset_ns
        known.value[:, column] = value
        known.why[:, column] = why

    fault = heart.saturated | heart.unlocked | heart.zeroing
    young = light.present & (end_ns - light.last_pulse_ns <= PULSE_PROOF_NS)
    pulse = young & (light.quality >= GOOD_QUALITY)
    off = off_body(
        OffBodyEvidence(
            pulse=young,
            still=second.motion.still,
            moving=second.motion.moving,
            skin_c=second.thermal.raw,
            fall_c=second.thermal.fall,
            light_share=light.light_share,
        )
    )
    poor = heart.quality < POOR_QUALITY

    # As with an asystole, a poor signal is no reason to be silent; a pulse beside it proves an artefact.
    beaten = pulse & ~second.motion.moving
    # A racing heart moves little blood: its pulse may be slow, but then its beats are not.
    slow = beaten & (light.pulse < SLOWEST_BPM) & ~(heart.hr >= SLOWEST_BPM)
    slow |= keeps_step(second, end_ns)
    ventricular: tuple[tuple[Condition, IntArray, IntArray, BoolArray], ...] = (
        ("ventricular-fibrillation", heart.vf, heart.vf_ns, beaten),
        ("ventricular-tachycardia", heart.vt, heart.vt_ns, slow),
    )
    stirs = np.zeros(len(end_ns), np.bool_)
    for condition, truth, onset_ns, against in ventricular:
        judged = np.where(truth == 1, np.where(fault | off, -1, np.where(against, 0, 1)), truth)
        say(condition, judged, onset_ns, heart.ventricular_rate, poor.astype(np.int64))
        stirs |= (truth == 1) & ~fault & ~off

    # A heart that fibrillates or races does not stand still, though no beat of it is found.
    no_beat, word = heart.asystole == 1, word_of(second, "asystole")
    asystole = np.where(no_beat & (word.against | stirs), 0, np.where(no_beat & (fault | off), -1, heart.asystole))
    say("asystole", asystole, heart.asystole_ns, heart.asystole_s, np.select([word.for_, poor], [2, 1], 0))

    rates: tuple[tuple[RateAlarm, IntArray, IntArray, FloatArray], ...] = (
        ("extreme-bradycardia", heart.bradycardia, heart.bradycardia_ns, heart.bradycardia_rate),
        ("extreme-tachycardia", heart.tachycardia, heart.tachycardia_ns, heart.tachycardia_rate),
    )
    for condition, truth, onset_ns, rate in rates:
        word = word_of(second, condition)
        # A pulse that is not trusted so far makes unsure.
        contradicted = pulse & (np.abs(light.pulse - rate) > RATE_DISAGREEMENT * rate)
        unsure = np.where((truth == 1) & (poor | fault | contradicted), -1, truth)
        say(condition, np.where((truth == 1) & word.against, 0, unsure), onset_ns, rate, word.for_.astype(np.int64))

    fibrillation = np.where((heart.fibrillation == 1) & heart.grouped, 0, heart.fibrillation)
    rhythms: tuple[tuple[Condition, IntArray, IntArray, FloatArray], ...] = (
        ("pause", heart.pause, heart.pause_ns, heart.pause_s),
        ("atrial-fibrillation", fibrillation, heart.fibrillation_ns, heart.fibrillation_p),
        ("bigeminy", heart.bigeminy, heart.bigeminy_ns, heart.bigeminy_pairs),
        ("ventricular-run", heart.run, heart.run_ns, heart.run_beats),
    )
    for rhythm, truth, onset_ns, value in rhythms:
        # Beats that noise or a fibrillation invents or hides are as irregular as any rhythm: nothing is known then.
        say(rhythm, np.where(poor | fault | off | stirs, -1, truth), onset_ns, value, 0)
    # Who has no pulse stops to breathe, too: that is the arrest's alarm.
    no_blood = (asystole == 1) | stirs | (light.present & (end_ns - light.last_pulse_ns > NO_PULSE_NS)) | off
    paused = np.where(np.isnan(breath.pause_s) | ((breath.pause_s > 0.0) & no_blood), -1, breath.pause_s >= APNOEA_S)
    say("apnoea", paused.astype(np.int64), breath.since_ns + round(APNOEA_S * SECOND_NS), breath.pause_s, 0)

    _say_of_course(say, course)
    here = heart.present
    why = np.select([heart.zeroing, heart.unlocked], [2, 1], 0)
    say("saturated", _known(fault, here), heart.fault_ns, np.full(len(end_ns), np.nan), why)
    named = np.minimum(heart.sensor_fault, 1)
    say("sensor-fault", named, heart.sensor_fault_ns, np.full(len(end_ns), np.nan), heart.sensor_fault - named)
    # A sensor at the end of its range repeats one value too: that has its name already.
    frozen = (heart.frozen_ns > 0) & (end_ns - heart.frozen_ns >= FROZEN_NS) & ~fault
    say("frozen", _known(frozen, here), heart.frozen_ns + FROZEN_NS, (end_ns - heart.frozen_ns) / SECOND_NS, 0)
    say("off-body", _known(off, second.motion.present & light.present), end_ns, second.thermal.temp, 0)
    # Where a pulse talks an asystole away, what is left is a poor signal.
    bad = poor & ~fault & ~frozen & ~off & ~heart.settling & (asystole != 1) & ~stirs
    void = (heart.reason == Reason.NOT_FINITE).astype(np.int64)
    say("poor-signal", _known(bad, here & ~heart.settling), end_ns, heart.quality, void)
    blind = ~np.isfinite(vitals.hr) & (asystole != 1) & ~off & ~stirs
    say("cannot-analyse", _known(blind, second.worn), end_ns, np.full(len(end_ns), np.nan), 0)
    return known


def _say_of_course(say: Say, course: Course) -> None:
    """What the minutes have shown."""
    stands, looked = course.pattern != QUIET, np.isfinite(course.deviation)
    pattern = np.maximum(course.pattern, 0)
    say("deterioration", _known(stands, looked | stands), course.since_ns, course.deviation, pattern)
    say("urgent-deterioration", _known(course.urgent, looked | stands), course.urgent_ns, course.news2_min, pattern)


def _known(truth: BoolArray, known: BoolArray) -> IntArray:
    return np.where(known, truth.astype(np.int64), -1)
