"""What the pulse says of an alarm of the heart: whether it contradicts or confirms what the cardiac lane has found."""

from typing import Final, NamedTuple

import numpy as np

from anomaly.judgement import FITS, LEAST, Arrhythmia, Judge, contradicted, probability
from anomaly.witness import Heard
from dataflows.estimates import BoolArray, Cardiac, Optical, Second

JUDGE: Final = Judge()
LIT = 0.3  # of the light while there was a pulse: with less, the sensor may be off the finger


class Word(NamedTuple):
    """What the pulse says of an alarm, shape (n,) each; neither where there is none to ask, or it cannot be trusted."""

    against: BoolArray
    for_: BoolArray


def word_of(second: Second, alarm: Arrhythmia) -> Word:
    """Ask the pulse about an alarm.

    The cardiac lane has found it, or it would not be asked: so the pulse alone decides, by the rule and the constants
    that `femtoward evaluate alarms` measures. A pulse contradicts where it makes the alarm less likely than `LEAST`,
    but not while the body moves: what chest compressions drive is no heart's. It confirms where there was one, the
    light is still there, and it does not contradict.
    """
    light = second.optical
    opinion = JUDGE.hear(alarm, _silent(second.cardiac), (_heard(light),))
    told = light.present & (opinion.witness > 0)
    unlikely = told & contradicted(probability(opinion, FITS[alarm]), LEAST)
    lit = (light.last_pulse_ns > 0) & (light.light_share >= LIT)
    return Word(against=unlikely & ~second.motion.moving, for_=told & lit & ~unlikely)


def _heard(light: Optical) -> Heard:
    return Heard(
        trust=light.trust,
        pause_s=light.pause_s,
        slowest_bpm=light.slowest_bpm,
        fastest_bpm=light.fastest_bpm,
        burst_bpm=np.full(light.trust.shape, np.nan),
        unsteady=light.unsteady,
    )


def _silent(heart: Cardiac) -> Heard:
    """A heart that says nothing."""
    return Heard(*(np.full(heart.present.shape, np.nan) for _ in Heard._fields))
