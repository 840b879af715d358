"""What the pulse says of an alarm of the heart: whether it contradicts or confirms what the cardiac lane has found."""

from typing import Final, Literal, NamedTuple

import numpy as np

from anomaly.judgement import FITS, LEAST, Arrhythmia, Judge, contradicted, probability
from anomaly.witness import Heard
from dataflows.estimates import BoolArray, Cardiac, FloatArray, IntArray, Optical, Second
from dataflows.events import SECOND_NS

JUDGE: Final = Judge()
BEGUN_NS = 8 * SECOND_NS  # so far back, a tachycardia has begun within the look-back of 14 s, with a pulse before it
RATE_BACK_BPM = 3.0  # a pulse is back within its limit when it is so far within
LIT = 0.3  # of the light while there was a pulse: with less, the sensor may be off the finger


class Word(NamedTuple):
    """What the pulse says of an alarm, shape (n,) each; neither where there is none to ask, or it cannot be trusted."""

    against: BoolArray
    for_: BoolArray
    chance: FloatArray  # probability of the alarm by all that is heard, the heart too


def word_of(second: Second, alarm: Arrhythmia, limit_bpm: FloatArray | None = None) -> Word:
    """Ask the pulse about an alarm.

    The cardiac lane has found it, or it would not be asked: so the pulse alone decides, by the rule and the constants
    that `femtoward evaluate alarms` measures. A pulse contradicts where it makes the alarm less likely than `LEAST`,
    but not while the body moves: what chest compressions drive is no heart's. It confirms where there was one, the
    light is still there, and it does not contradict. How probable the alarm is, both tell.

    Parameters
    ----------
    second
        Of ``n`` patients.
    alarm
        Which.
    limit_bpm : shape (n,)
        Of an extreme rate; None: the usual one.
    """
    light = second.optical
    pulse = _heard(light)
    opinion = JUDGE.hear(alarm, _silent(second.cardiac), (pulse,), limit_bpm=limit_bpm)
    told = light.present & (opinion.witness > 0)
    unlikely = told & contradicted(probability(opinion, FITS[alarm]), LEAST)
    lit = (light.last_pulse_ns > 0) & (light.light_share >= LIT)
    chance = probability(JUDGE.hear(alarm, _found(second.cardiac), (pulse,), limit_bpm=limit_bpm), FITS[alarm])
    return Word(against=unlikely & ~second.motion.moving, for_=told & lit & ~unlikely, chance=chance)


def pulse_rate(
    second: Second, alarm: Literal["extreme-bradycardia", "extreme-tachycardia"], limit_bpm: FloatArray
) -> IntArray:
    """Whether a trusted pulse has been too slow or too fast of late, and is so now: 1, or 0; -1: it cannot tell.

    Who moves shakes the light, at any rate.
    """
    light = second.optical
    if alarm == "extreme-bradycardia":
        beyond, back = np.maximum(light.slowest_bpm, light.pulse) < limit_bpm, light.pulse >= limit_bpm + RATE_BACK_BPM
    else:
        beyond, back = np.minimum(light.fastest_bpm, light.pulse) > limit_bpm, light.pulse <= limit_bpm - RATE_BACK_BPM
    sure = light.present & (light.trust >= JUDGE.trust) & ~second.motion.moving
    return np.select([sure & beyond, sure & back], [1, 0], -1)


def keeps_step(second: Second, end_ns: IntArray) -> BoolArray:
    """Whether a pulse that has kept step and height since before it began contradicts a ventricular tachycardia.

    One that has lasted for longer has a pulse of its own, if any, and that may keep step.
    """
    return word_of(second, "ventricular-tachycardia").against & (end_ns - second.cardiac.vt_ns < BEGUN_NS)


def _heard(light: Optical) -> Heard:
    return Heard(
        trust=light.trust,
        pause_s=light.pause_s,
        slowest_bpm=light.slowest_bpm,
        fastest_bpm=light.fastest_bpm,
        burst_bpm=np.full(light.trust.shape, np.nan),
        unsteady=light.unsteady,
    )


def _found(heart: Cardiac) -> Heard:
    """What the heart's own beats say of an alarm that they have raised."""
    nothing = np.full(heart.present.shape, np.nan)
    return Heard(
        trust=heart.quality,
        pause_s=heart.asystole_s,
        slowest_bpm=heart.bradycardia_rate,
        fastest_bpm=heart.tachycardia_rate,
        burst_bpm=nothing,
        unsteady=nothing,
    )


def _silent(heart: Cardiac) -> Heard:
    """A heart that says nothing."""
    return Heard(*(np.full(heart.present.shape, np.nan) for _ in Heard._fields))
