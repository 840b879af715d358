"""One patient out of many lanes: which heart rate to believe, and what may be held against the patient's usual."""

from typing import NamedTuple

import numpy as np

from dataflows.breathing import Breath
from dataflows.estimates import FloatArray, IntArray, Second

GOOD_QUALITY = 0.5  # a source of this quality is believed by itself
POOR_QUALITY = 0.3  # below it, a source is not believed
WIDER = 3.0  # times the uncertainty of a pulse: a rate as uncertain as that yields to it
MANY_ECTOPIC = 0.15  # share of the beats: their pulses are missing from the light

SOURCES = ("none", "mcg", "ppg", "mcg+ppg")


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
