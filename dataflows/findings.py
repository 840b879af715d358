"""What is true of every condition of a patient at the end of a second, by what all the lanes know of it."""

from typing import Literal, NamedTuple, Protocol

import numpy as np
from scipy import special

from anomaly.deterioration import QUIET
from anomaly.motion import OffBodyEvidence, off_body
from anomaly.ventricular_watch import SLOWEST_BPM
from dataflows.alarms import FALSE, REFUTED, Evidence, nothing_known
from dataflows.breathing import Breath
from dataflows.courses import Course
from dataflows.estimates import BoolArray, FloatArray, IntArray, Second
from dataflows.events import SECOND_NS, Condition
from dataflows.fusion import GOOD_QUALITY, POOR_QUALITY
from dataflows.limits import HIGH, HR, LOW, RESP, SPO2, TEMP
from dataflows.rows import Made
from dataflows.rules import COLUMN
from dataflows.witnesses import BEGUN_NS, keeps_step, pulse_rate, word_of

PULSE_PROOF_NS = 3 * SECOND_NS  # a pulse this young proves that the heart beats
NO_PULSE_NS = 10 * SECOND_NS  # without one, where there is light: no blood moves
APNOEA_S = 20.0  # without breath
FROZEN_NS = 2 * SECOND_NS
BACK = {RESP: 1.0, SPO2: 1.0, TEMP: 0.2}  # a vital is back within a limit when it is so far within
SLOW_SHARE, REST_SHARE = 0.8, 1.75  # of the mean interval: one of a slow rate lies between, one beyond is a rest
RATE_DISAGREEMENT = 0.2  # share by which a good pulse contradicts a rate out of the cardiac lane

RateAlarm = Literal["extreme-bradycardia", "extreme-tachycardia"]


class Measured(NamedTuple):
    """What was measured, shape (n,) each, and what is known of it."""

    value: FloatArray
    u: FloatArray | float = np.nan  # standard uncertainty
    limit: FloatArray | float = np.nan  # what it was held against; NaN: the rule's own
    confidence: FloatArray | float = np.nan  # probability that the condition is true; NaN: nobody states one


class Say(Protocol):
    """Puts what is known of one condition into its column."""

    def __call__(
        self,
        condition: Condition,
        truth: IntArray,
        onset_ns: IntArray,
        measured: FloatArray | Measured,
        why: IntArray | int = 0,
    ) -> None:
        """Tell."""


class Proof(NamedTuple):
    """What speaks for or against all that the heart's signal says, shape (n,) each."""

    fault: BoolArray  # its sensor is at the end of its range, unlocked or zeroing
    off: BoolArray  # the device is off the body
    poor: BoolArray  # the signal is poor
    pulse: BoolArray  # there is a good pulse beside it, and it is young
    moving: BoolArray  # the body moves


def evidence(second: Second, made: Made, limits: FloatArray, end_ns: IntArray) -> Evidence:
    """Tell what is true of every condition at the end of a second.

    A poor signal alone never talks an asystole away. Positive proof of an artefact does (saturation, lost lock, a
    device off the body by motion, temperature and light): then it is *not known*, and one that stands goes on
    standing. A trusted pulse of another sensor that contradicts does (`dataflows.witnesses`): then there is none, and
    one that stands ends; one that has just begun was never true, as the pulse tells of the time before it, too. A pulse
    that says the same stands in the reason.

    Parameters
    ----------
    second
        What the lanes of ``n`` patients know.
    made
        What was made of it.
    limits : shape (n, vitals, 2)
        As of `dataflows.limits`.
    end_ns : shape (n,)
        End of the second.
    """
    known = nothing_known(len(end_ns))
    say, proof = _saying(known), _proof(second, end_ns)
    stirs, asystole = _say_of_heart(say, second, proof, limits, end_ns)
    _say_of_rhythms(say, second, proof, stirs)
    _say_of_breath(say, second, made.breath, (asystole == 1) | stirs | proof.off, end_ns)
    _say_of_vitals(say, second, made.breath, proof, limits, end_ns)
    _say_of_course(say, made.course)
    _say_of_sensor(say, second, proof, (asystole == 1) | stirs, end_ns)
    blind = ~np.isfinite(made.heart.hr) & (asystole != 1) & ~proof.off & ~stirs
    say("cannot-analyse", _known(blind, second.worn), end_ns, np.full(len(end_ns), np.nan))
    return known


def of_heart(second: Second, limits: FloatArray, end_ns: IntArray) -> Evidence:
    """Tell of the heart what `evidence` tells of it, and of nothing else, as of any time."""
    known = nothing_known(len(end_ns))
    _say_of_heart(_saying(known), second, _proof(second, end_ns), limits, end_ns)
    return known


def _saying(known: Evidence) -> Say:
    def say(
        condition: Condition,
        truth: IntArray,
        onset_ns: IntArray,
        measured: FloatArray | Measured,
        why: IntArray | int = 0,
    ) -> None:
        column = COLUMN[condition]
        found = measured if isinstance(measured, Measured) else Measured(measured)
        known.truth[:, column] = truth
        known.onset_ns[:, column] = onset_ns
        known.why[:, column] = why
        for name in Measured._fields:
            getattr(known, name)[:, column] = getattr(found, name)

    return say


def _say_of_heart(
    say: Say, second: Second, proof: Proof, limits: FloatArray, end_ns: IntArray
) -> tuple[BoolArray, IntArray]:
    """Return whether the heart fibrillates or races, and whether it stands still."""
    stirs = _say_of_ventricles(say, second, proof, end_ns)
    asystole = _say_of_absence(say, second, proof, stirs, end_ns)
    _say_of_rates(say, second, proof, limits[:, HR], end_ns)
    return stirs, asystole


def _proof(second: Second, end_ns: IntArray) -> Proof:
    heart, light = second.cardiac, second.optical
    young = light.present & (end_ns - light.last_pulse_ns <= PULSE_PROOF_NS)
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
    return Proof(
        fault=heart.saturated | heart.unlocked | heart.zeroing,
        off=off,
        poor=heart.quality < POOR_QUALITY,
        pulse=young & (light.quality >= GOOD_QUALITY),
        moving=second.motion.moving,
    )


def _say_of_ventricles(say: Say, second: Second, proof: Proof, end_ns: IntArray) -> BoolArray:
    """As with an asystole, a poor signal is no reason to be silent; a pulse beside it proves an artefact.

    Returns
    -------
    ndarray, shape (n,)
        The heart fibrillates or races.
    """
    heart, light = second.cardiac, second.optical
    beaten = proof.pulse & ~proof.moving
    # A racing heart moves little blood: its pulse may be slow, but then its beats are not.
    slow = beaten & (light.pulse < SLOWEST_BPM) & ~(heart.hr >= SLOWEST_BPM)
    slow |= keeps_step(second, end_ns)
    ventricular: tuple[tuple[Condition, IntArray, IntArray, BoolArray, FloatArray], ...] = (
        ("ventricular-fibrillation", heart.vf, heart.vf_ns, beaten, heart.vf_p),
        ("ventricular-tachycardia", heart.vt, heart.vt_ns, slow, heart.vt_p),
    )
    stirs = np.zeros(len(end_ns), np.bool_)
    artefact = proof.fault | proof.off
    for condition, truth, onset_ns, against, chance in ventricular:
        judged = np.where(truth == 1, np.where(artefact, -1, np.where(against, _never(onset_ns, end_ns), 1)), truth)
        say(
            condition,
            judged,
            onset_ns,
            Measured(heart.ventricular_rate, confidence=chance),
            proof.poor.astype(np.int64),
        )
        stirs |= (truth == 1) & ~artefact
    return stirs


def _say_of_absence(say: Say, second: Second, proof: Proof, stirs: BoolArray, end_ns: IntArray) -> IntArray:
    """A heart that fibrillates or races does not stand still, though no beat of it is found."""
    heart = second.cardiac
    no_beat, word = heart.asystole == 1, word_of(second, "asystole")
    artefact = proof.fault | proof.off
    contradicted = _never(heart.asystole_ns, end_ns)
    cases = [no_beat & stirs, no_beat & word.against, no_beat & artefact]
    asystole: IntArray = np.select(cases, [np.full_like(contradicted, FALSE), contradicted, -1], heart.asystole)
    why = np.select([word.for_, proof.poor], [2, 1], 0)
    absence = Measured(heart.asystole_s, heart.rr_u / 1e3, confidence=word.chance)
    say("asystole", asystole, heart.asystole_ns, absence, why)
    return asystole


def _say_of_rates(say: Say, second: Second, proof: Proof, limits: FloatArray, end_ns: IntArray) -> None:
    """A heart of whose beats nothing is known may have a pulse that can be counted."""
    heart, light = second.cardiac, second.optical
    rates: tuple[tuple[RateAlarm, IntArray, IntArray, FloatArray, int], ...] = (
        ("extreme-bradycardia", heart.bradycardia, heart.bradycardia_ns, heart.bradycardia_rate, LOW),
        ("extreme-tachycardia", heart.tachycardia, heart.tachycardia_ns, heart.tachycardia_rate, HIGH),
    )
    for condition, truth, onset_ns, rate, side in rates:
        limit = limits[:, side]
        word = word_of(second, condition, limit)
        # A pulse that is not trusted so far makes unsure; but its mean lags behind a rate that has just changed.
        own = light.slowest_bpm if side == LOW else light.fastest_bpm
        most = RATE_DISAGREEMENT * rate
        lags = (np.abs(own - rate) <= most) & _keeps_on(heart.rr_ms / 1e3, rate, side)
        contradicted = proof.pulse & (np.abs(light.pulse - rate) > most) & ~lags
        unsure = np.where((truth == 1) & (proof.poor | proof.fault | contradicted), -1, truth)
        judged = np.where((truth == 1) & word.against, _never(onset_ns, end_ns), unsure)
        counted = np.where(proof.pulse, pulse_rate(second, condition, limit), -1)
        alone = (~heart.present | proof.poor | proof.fault) & (counted >= 0) & ~word.against
        measured = Measured(
            value=np.where(alone, light.pulse, rate),
            u=np.where(alone, light.pulse_u, heart.hr_u),
            limit=limit,
            confidence=np.where(alone, light.trust, word.chance),
        )
        why = np.select([alone, word.for_], [2, 1], 0)
        say(condition, np.where(alone, counted, judged), np.where(alone, end_ns, onset_ns), measured, why)


def _keeps_on(interval_s: FloatArray, rate: FloatArray, side: int) -> BoolArray:
    """Whether the newest interval is of a rate, and no rest among intervals that are shorter."""
    if side == HIGH:
        return np.ones(len(rate), np.bool_)
    usual_s = 60.0 / rate
    return (interval_s >= SLOW_SHARE * usual_s) & (interval_s <= REST_SHARE * usual_s)


def _say_of_rhythms(say: Say, second: Second, proof: Proof, stirs: BoolArray) -> None:
    """Beats that noise or a fibrillation invents or hides are as irregular as any rhythm: nothing is known then."""
    heart = second.cardiac
    fibrillation, chance = np.where((heart.fibrillation == 1) & heart.grouped, 0, heart.fibrillation), np.nan
    interval_u = heart.rr_u / 1e3  # two beats bound a pause as they bound an interval
    rhythms: tuple[tuple[Condition, IntArray, IntArray, FloatArray, FloatArray | float, FloatArray | float], ...] = (
        ("pause", heart.pause, heart.pause_ns, heart.pause_s, interval_u, chance),
        (
            "atrial-fibrillation",
            fibrillation,
            heart.fibrillation_ns,
            heart.fibrillation_p,
            np.nan,
            heart.fibrillation_p,
        ),
        ("bigeminy", heart.bigeminy, heart.bigeminy_ns, heart.bigeminy_pairs, np.nan, chance),
        ("ventricular-run", heart.run, heart.run_ns, heart.run_beats, np.nan, chance),
    )
    unknown = proof.poor | proof.fault | proof.off | stirs
    for rhythm, truth, onset_ns, value, u, confidence in rhythms:
        say(rhythm, np.where(unknown, -1, truth), onset_ns, Measured(value, u, confidence=confidence))


def _say_of_breath(say: Say, second: Second, breath: Breath, arrested: BoolArray, end_ns: IntArray) -> None:
    """Who has no pulse stops to breathe, too: that is the arrest's alarm.

    A chest that has not been seen to move since something was missed may have stood still before that, too.
    """
    light = second.optical
    no_blood = arrested | (light.present & (end_ns - light.last_pulse_ns > NO_PULSE_NS))
    long = breath.pause_s >= APNOEA_S
    unknown = np.isnan(breath.pause_s) | ((breath.pause_s > 0.0) & no_blood) | (~breath.sure & ~long)
    paused = np.where(unknown, -1, long)
    say("apnoea", paused.astype(np.int64), breath.since_ns + round(APNOEA_S * SECOND_NS), breath.pause_s)


def _say_of_vitals(
    say: Say, second: Second, breath: Breath, proof: Proof, limits: FloatArray, end_ns: IntArray
) -> None:
    """What is beyond a limit; between that and `BACK` within it is neither, so that nothing flaps."""
    light, skin = second.optical, second.thermal
    breathes = (breath.quality >= GOOD_QUALITY) & ~proof.moving
    lit = (light.spo2_quality >= GOOD_QUALITY) & ~proof.moving
    worn, one = ~proof.off, np.ones(len(end_ns))
    vitals: tuple[tuple[Condition, int, int, FloatArray, FloatArray, BoolArray, FloatArray], ...] = (
        ("resp-low", RESP, LOW, breath.rate, breath.u, breathes, breath.quality),
        ("resp-high", RESP, HIGH, breath.rate, breath.u, breathes, breath.quality),
        ("spo2-low", SPO2, LOW, light.spo2, light.spo2_u, lit, light.spo2_quality),
        ("temp-low", TEMP, LOW, skin.temp, skin.temp_u, worn, one),
        ("temp-high", TEMP, HIGH, skin.temp, skin.temp_u, worn, one),
    )
    for condition, vital, side, value, u, sure, quality in vitals:
        limit = limits[:, vital, side]
        beyond = value - limit if side == HIGH else limit - value  # NaN compares false
        truth = np.select([sure & (beyond > 0.0), sure & (beyond <= -BACK[vital])], [1, 0], -1)
        say(condition, truth, end_ns, Measured(value, u, limit, quality))


def _say_of_course(say: Say, course: Course) -> None:
    """What the minutes have shown."""
    stands, looked = course.pattern != QUIET, np.isfinite(course.deviation)
    pattern, known = np.maximum(course.pattern, 0), looked | stands
    usual = special.erf(course.deviation / np.sqrt(2.0))  # so often a patient who is as usual departs by less
    say("deterioration", _known(stands, known), course.since_ns, Measured(course.deviation, confidence=usual), pattern)
    urgent = _known(course.urgent, known)
    say("urgent-deterioration", urgent, course.urgent_ns, Measured(course.news2_min, confidence=usual), pattern)


def _say_of_sensor(say: Say, second: Second, proof: Proof, arrested: BoolArray, end_ns: IntArray) -> None:
    sensors, nothing = second.sensors, np.full(len(end_ns), np.nan)
    say("saturated", _known(sensors.fault, sensors.present), sensors.fault_ns, nothing, sensors.fault_why)
    named = np.minimum(sensors.named, 1)
    say("sensor-fault", named, sensors.named_ns, nothing, sensors.named - named)
    since_ns = sensors.frozen_ns
    frozen = (since_ns > 0) & (end_ns - since_ns >= FROZEN_NS)
    say("frozen", _known(frozen, sensors.present), since_ns + FROZEN_NS, (end_ns - since_ns) / SECOND_NS)
    skin, looked = second.thermal, second.motion.present & second.optical.present
    say("off-body", _known(proof.off, looked), end_ns, Measured(skin.temp, skin.temp_u))
    # Where a pulse talks an asystole away, what is left is a poor signal.
    bad = sensors.poor & ~proof.off & ~arrested
    say("poor-signal", _known(bad, sensors.judged), end_ns, sensors.quality, sensors.void.astype(np.int64))


def _never(onset_ns: IntArray, end_ns: IntArray) -> IntArray:
    """What a pulse that contradicts makes of a condition: refuted, as far back as the pulse is looked at; else over."""
    return np.where(end_ns - onset_ns < BEGUN_NS, REFUTED, FALSE)


def _known(truth: BoolArray, known: BoolArray) -> IntArray:
    return np.where(known, truth.astype(np.int64), -1)
