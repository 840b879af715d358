"""What should be noticed of scripted rhythms and events, and what may be alarmed while they last.

A monitor should speak of: ventricular tachycardia and fibrillation, a heart without pulse, dying beats (as asystole),
atrial fibrillation and flutter that last, a block of the second degree of Mobitz' kind, a shift of ST that lasts; of
pauses and of runs by the single beat (`heartwatch`); of apnoea, desaturation, fever and deterioration by the second
(`bodywatch`).

It need not speak of: ectopic beats, bigeminy, a block of Wenckebach's kind (of sleepers and athletes too, harmless),
runs of three or four beats, shallow breath, or periodic breath whose rests are no apnoea, less blood in the skin,
movements, anything of the brain. And the loss of breath and oxygen in an arrest is part of the arrest: whoever comes,
comes to that.
"""

from typing import NamedTuple

from device_sim.events import (
    ARRESTED,
    ActivityEvent,
    BloodEvent,
    BreathEvent,
    CourseEvent,
    Event,
    RhythmName,
    StEvent,
    TemperatureEvent,
)
from device_sim.expected import AFTERMATH_S, EARLY_S, Expected
from device_sim.script import Episode, Script


class _Due(NamedTuple):
    """A condition that an episode is due to be noticed by."""

    condition: str
    after_s: float  # once it lasts so long
    within_s: float  # of its beginning


# VF 4 s (PhysioNet/CinC 2015, DOMAIN 2.2), told within 10 s (EC13, DOMAIN 4); AF 30 s (ESC), told within as much again.
# No pulse, flutter and block from memory. A ventricular tachycardia is due by its beats.
_DUE: dict[RhythmName, _Due] = {
    "ventricular-fibrillation": _Due("ventricular-fibrillation", 4.0, 10.0),
    "pulseless": _Due("pulseless", 10.0, 20.0),
    "agonal": _Due("asystole", 10.0, 30.0),
    "atrial-fibrillation": _Due("atrial-fibrillation", 30.0, 60.0),
    "atrial-flutter": _Due("atrial-flutter", 30.0, 60.0),
    "mobitz": _Due("heart-block", 30.0, 120.0),
}
# Rhythms in which a detector of narrow beats finds some, none, or too many.
HARD: frozenset[RhythmName] = frozenset(
    {"ventricular-tachycardia", "ventricular-fibrillation", "ventricular-runs", "agonal", "atrial-flutter"}
)
# Rhythms that are an alarm by themselves: what their beats or their silence would call for besides is not due.
STANDS_FOR: dict[RhythmName, tuple[str, ...]] = {
    "ventricular-tachycardia": ("extreme-tachycardia",),
    "ventricular-fibrillation": ("extreme-bradycardia", "extreme-tachycardia"),
    "agonal": ("asystole", "pause", "extreme-bradycardia"),
}
# Due, and asked of whoever monitors unless something hides them: the flow found all of them, over seeds and bodies
# (ventricular tachycardia 30 of 30, fibrillation 15 of 15, atrial fibrillation and apnoea 10 of 10; not all pauses).
ASKED: frozenset[str] = frozenset(
    {"ventricular-tachycardia", "ventricular-fibrillation", "atrial-fibrillation", "apnoea"}
)
_MAY_WHEN_HARD = ("asystole", "extreme-bradycardia", "extreme-tachycardia", "poor-signal", "cannot-analyse")
_VENTRICULAR = ("ventricular-tachycardia", "ventricular-fibrillation")
# What may be said of a rhythm as long as it lasts: its own name, and those of its neighbours.
_MAY: dict[RhythmName, tuple[str, ...]] = {
    "ventricular-tachycardia": (*_VENTRICULAR, "ventricular-run", *_MAY_WHEN_HARD),
    "ventricular-fibrillation": (*_VENTRICULAR, "ventricular-run", *_MAY_WHEN_HARD),
    "ventricular-runs": ("ventricular-run", "ventricular-tachycardia", "pause", *_MAY_WHEN_HARD),
    "agonal": (*_VENTRICULAR, "pause", *_MAY_WHEN_HARD),
    "pulseless": ("pulseless",),
    "atrial-fibrillation": ("atrial-fibrillation", "atrial-flutter", "pause"),
    "atrial-flutter": ("atrial-fibrillation", "atrial-flutter", *_MAY_WHEN_HARD),
    "pauses": ("pause",),
    "bigeminy": ("bigeminy",),
    "wenckebach": ("heart-block", "pause"),
    "mobitz": ("heart-block", "pause"),
}
_GETTING_WORSE = ("deterioration", "urgent-deterioration")
_BREATH = ("resp-low", "resp-high")
_MAY_WITHOUT_BLOOD = ("apnoea", "spo2-low", *_BREATH, *_GETTING_WORSE)
_MAY_WHEN_MOVING = ("poor-signal", "cannot-analyse", "off-body")
_MAY_WHEN_PRESSED = (*_VENTRICULAR, *_MAY_WHEN_HARD, "saturated")
# What any other event explains while it lasts and while it passes off.
_EXPLAINED: dict[type[Event], tuple[str, ...]] = {
    BreathEvent: ("apnoea", "spo2-low", *_BREATH, *_GETTING_WORSE),
    BloodEvent: ("spo2-low", *_GETTING_WORSE),
    TemperatureEvent: ("fever", "temp-low", "temp-high", *_GETTING_WORSE),
    CourseEvent: ("fever", "temp-low", "temp-high", "spo2-low", *_BREATH, *_GETTING_WORSE),
    StEvent: ("st-shift",),
    ActivityEvent: _MAY_WHEN_MOVING,
}
WAVE_EARLY_S = 1.0
# A shift of 0.1 of the R peak, about 0.1 mV, that lasts a minute; from memory.
ST_SHIFT, ST_AFTER_S, ST_WITHIN_S = 0.1, 60.0, 120.0


def rhythm_expectations(episode: Episode) -> list[Expected]:
    """Alarms that an episode calls for, or explains."""
    found = []
    name, from_s, to_s = episode.rhythm, episode.from_s, episode.to_s
    if name in _DUE:
        condition, after_s, within_s = _DUE[name]
        if to_s - from_s >= after_s:
            # When a wave began is told from a window of it, which may begin before.
            early_s = WAVE_EARLY_S if condition in _VENTRICULAR else 0.0
            found.append(_heart(condition, from_s, from_s + within_s, due=True, early_s=early_s))
    may = _MAY.get(name, ())
    if name in ARRESTED:
        may = (*may, *_MAY_WITHOUT_BLOOD)
    return found + [_heart(condition, from_s, to_s + AFTERMATH_S) for condition in may]


def event_expectations(event: Event, from_s: float, to_s: float) -> list[Expected]:
    """Alarms that any other event calls for, or explains."""
    found = []
    if isinstance(event, StEvent) and abs(event.st) >= ST_SHIFT and to_s - from_s >= event.ramp_s + ST_AFTER_S:
        found.append(_heart("st-shift", from_s, from_s + event.ramp_s + ST_WITHIN_S, due=True))
    pressed = isinstance(event, ActivityEvent) and event.activity == "compressions"
    may = _MAY_WHEN_PRESSED if pressed else _EXPLAINED.get(type(event), ())
    return found + [_heart(condition, from_s, to_s + _passing_s(event)) for condition in may]


def _passing_s(event: Event) -> float:
    """How long after its end an event may still be noticed."""
    match event:
        case BreathEvent(ramp_s=ramp_s) | BloodEvent(ramp_s=ramp_s) | TemperatureEvent(ramp_s=ramp_s):
            return ramp_s + AFTERMATH_S
        case CourseEvent():
            return event.over_s + AFTERMATH_S
        case _:
            return AFTERMATH_S


def hides(script: Script, from_s: float, to_s: float, condition: str) -> bool:
    """Whether a condition in a time cannot be asked of a monitor: something else disturbs the heart or its sensor."""
    return (
        bool(script.faults(from_s, to_s))
        or bool(script.spans(script.patient.activities, from_s, to_s))
        or any(episode.rhythm in HARD and episode.rhythm != condition for episode in script.episodes(from_s, to_s))
    )


def _heart(condition: str, from_s: float, to_s: float, *, due: bool = False, early_s: float = 0.0) -> Expected:
    return Expected(
        condition, from_s - EARLY_S - early_s, to_s, required=False, physiological=True, since_s=from_s, due=due
    )
