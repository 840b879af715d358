"""What changes slowly: rate, breath, blood and temperature of one patient as functions of time, out of the script."""

import math
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from device_sim.events import ARRESTED, CourseName, RhythmName
from device_sim.rhythms import ventricular_bpm
from device_sim.script import Script, ramp_of

Array = NDArray[np.float64]

# By the hour of the day, from memory (Refinetti and Menaker 1992 for the temperature's peak in the early evening): a
# heart at rest is slowest at 4 h, by 8 % of its mean; the core is warmest at 18 h, by 0.35 Cel; breath 3 %.
DAY_S = 86_400.0
SLOWEST_H, RATE_SWING = 4.0, 0.08
WARMEST_H, CORE_SWING_CEL = 18.0, 0.35
BREATH_SWING = 0.03
SKIN_OF_CORE = 0.8  # the skin under a device follows this share of the core's change; from memory
# A heart beats 10 bpm faster per Cel of fever (Liebermeister's rule, from memory), here as a share of 70 bpm.
RATE_PER_CEL = 0.14
APNOEA_DEPTH = 0.05  # breaths shallower than this are none
# Without a pulse breathing ends within half a minute; a dying heart still gasps now and then. From memory.
LAST_BREATH_S, GASPS_BPM, GASP_DEPTH = 30.0, 6.0, 0.7
PERIOD_S = 60.0  # of Cheyne-Stokes breathing: 45 s to 90 s, from memory


class Levels(NamedTuple):
    """How a patient is at some times, shape ``(n_times,)`` each."""

    rate: Array  # mean heart rate of the sinus node, over that at rest
    breath_bpm: Array
    depth: Array  # of a breath, 1 at rest
    spo2: Array  # %
    perfusion: Array  # pulse in the light, 1 at rest
    core_cel: Array
    late_s: Array  # by which the pulse comes later than at rest
    spread: Array  # variation of the heart's interval, 1 at rest


class _Effect(NamedTuple):
    """What a course has done once it has reached its full size."""

    rate: float
    breath: float
    spo2: float
    perfusion: float
    core_cel: float
    late_s: float
    spread: float


# Fever, fast breath and pulse of a sepsis (NEWS2 of 7 or more); class III bleeding (ATLS: 120-140 bpm, 30 breaths, cold
# skin); failing lungs (30 breaths, SpO2 in the low eighties). The single numbers are from memory.
_EFFECTS: dict[CourseName, _Effect] = {
    "infection": _Effect(1.55, 1.7, -5.0, 0.8, 2.3, -0.02, 0.5),
    "bleeding": _Effect(1.85, 1.9, -1.5, 0.25, -0.7, 0.05, 0.4),
    "respiratory": _Effect(1.35, 2.1, -15.0, 0.9, 0.2, 0.0, 0.6),
}


def levels(script: Script, t_s: Array) -> Levels:
    """How the patient is at the times `t_s`, s since the start of the run."""
    patient = script.patient
    one = np.ones(len(t_s))
    now = Levels(one, patient.breath_bpm * one, one, patient.spo2 * one, one, patient.core_cel * one, 0.0 * one, one)
    if patient.steady:
        return now
    now = _by_courses(script, t_s, _by_hour(patient.hour, t_s, now))
    for event in patient.temperatures:
        warmer = script.share(event, event.ramp_s, t_s) * (event.core_cel - patient.core_cel)
        now = now._replace(core_cel=now.core_cel + warmer, rate=now.rate * (1.0 + RATE_PER_CEL * warmer))
    for change in patient.blood:
        share = script.share(change, change.ramp_s, t_s)
        if change.blood == "desaturation":
            now = now._replace(spo2=now.spo2 + share * (change.spo2 - patient.spo2))
        else:
            now = now._replace(perfusion=now.perfusion * (1.0 + share * (change.level - 1.0)))
    now = _by_breaths(script, t_s, _by_arrests(script, t_s, now))
    return now._replace(rate=np.maximum(now.rate, 0.3), spo2=np.clip(now.spo2, 40.0, 100.0))


def sinus_bpm(script: Script, t_s: Array) -> Array:
    """Mean rate that the script asks of the heart, where it beats.

    Between two rates its logarithm moves on a straight line for the episode's ramp.
    """
    base = script.patient.rate_bpm * levels(script, t_s).rate
    log_rate = np.log(base)
    for event in script.patient.rhythms:
        share = script.share(event, ramp_of(event), t_s)
        log_rate += share * np.log(script.rate_in(event) / base)
    rate: Array = np.exp(log_rate)
    return rate


def heart_bpm(script: Script, t_s: Array) -> Array:
    """Mean rate of the ventricles: in a block it is less than that of the sinus node; NaN where they do not beat."""
    asked = sinus_bpm(script, t_s)
    rate = asked
    for event in script.patient.rhythms:
        in_force = script.share(event, 0.0, t_s) > 0.0
        rate = np.where(in_force, ventricular_bpm(cast("RhythmName", event.rhythm), asked), rate)
    return rate


def sinus_bpm_at(script: Script, t_s: float) -> float:
    """Mean rate that the script asks of the heart at one time."""
    patient = script.patient
    rate = 1.0 if patient.steady else float(levels(script, np.array([t_s])).rate[0])
    base = log_rate = math.log(patient.rate_bpm * rate)
    for event in patient.rhythms:
        if share := script.share_at(event, ramp_of(event), t_s):
            log_rate += share * (math.log(script.rate_in(event)) - base)
    return math.exp(log_rate)


def _by_hour(hour: float, t_s: Array, now: Levels) -> Levels:
    if hour < 0.0:
        return now
    turns = 2.0 * np.pi * (hour * 3600.0 + t_s) / DAY_S
    slow = np.cos(turns - 2.0 * np.pi * SLOWEST_H / 24.0)
    warm = np.cos(turns - 2.0 * np.pi * WARMEST_H / 24.0)
    return now._replace(
        rate=now.rate * (1.0 - RATE_SWING * slow),
        breath_bpm=now.breath_bpm * (1.0 - BREATH_SWING * slow),
        core_cel=now.core_cel + CORE_SWING_CEL * warm,
    )


def _by_courses(script: Script, t_s: Array, now: Levels) -> Levels:
    for event in script.patient.courses:
        share = script.share(event, event.over_s, t_s)
        # Slow at first, slow at the end.
        share = event.severity * share**2 * (3.0 - 2.0 * share)
        effect = _EFFECTS[event.course]  # type: ignore[index]  # the event has refused any other name
        now = now._replace(
            rate=now.rate * effect.rate**share,
            breath_bpm=now.breath_bpm * effect.breath**share,
            spo2=now.spo2 + effect.spo2 * share,
            perfusion=now.perfusion * effect.perfusion**share,
            core_cel=now.core_cel + effect.core_cel * share,
            late_s=now.late_s + effect.late_s * share,
            spread=now.spread * effect.spread**share,
        )
    return now


def _by_arrests(script: Script, t_s: Array, now: Levels) -> Levels:
    arrested = gasping = np.zeros(len(t_s))
    for event in script.patient.rhythms:
        if event.rhythm in ARRESTED:
            share = script.share(event, LAST_BREATH_S, t_s)
            arrested = arrested + share
            gasping = gasping + share * (event.rhythm == "agonal")
    # One arrest that turns into another is one: while the one goes the other comes.
    arrested, gasping = np.minimum(arrested, 1.0), np.minimum(gasping, 1.0)
    return now._replace(
        breath_bpm=now.breath_bpm * (GASPS_BPM / now.breath_bpm) ** gasping,
        depth=now.depth * (1.0 - arrested + GASP_DEPTH * gasping),
    )


def _by_breaths(script: Script, t_s: Array, now: Levels) -> Levels:
    for event in script.patient.breaths:
        share = script.share(event, event.ramp_s, t_s)
        rate = event.rate_bpm or script.patient.breath_bpm
        depth = np.full(len(t_s), event.depth if event.breath == "shallow" else 1.0)
        if event.breath == "apnoea":
            depth = np.zeros(len(t_s))
        elif event.breath == "periodic":
            since = t_s - event.from_s
            depth = np.clip(0.35 + 1.1 * np.sin(2.0 * np.pi * since / PERIOD_S), 0.0, 1.5)
        now = now._replace(
            breath_bpm=now.breath_bpm * (rate / now.breath_bpm) ** share,
            depth=now.depth + share * (depth - now.depth),
        )
    return now
