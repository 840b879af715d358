"""What should be noticed of scripted rhythms and events, and what may be alarmed while they last."""

from device_sim.events import (
    ActivityEvent,
    BloodEvent,
    BreathEvent,
    CourseEvent,
    Event,
    RhythmName,
    TemperatureEvent,
)
from device_sim.expected import AFTERMATH_S, EARLY_S, Expected
from device_sim.script import Episode, Script

# Conditions by which these should be noticed, and within which time of their beginning. The flow does not know them
# yet: none is required.
_NAMED: dict[RhythmName, tuple[str, float]] = {
    "ventricular-tachycardia": ("ventricular-tachycardia", 10.0),
    "ventricular-fibrillation": ("ventricular-fibrillation", 10.0),
    "ventricular-runs": ("ventricular-run", 120.0),
    "atrial-fibrillation": ("atrial-fibrillation", 30.0),
    "atrial-flutter": ("atrial-flutter", 60.0),
    "pulseless": ("pulseless", 15.0),
    "agonal": ("asystole", 30.0),
    "pauses": ("pause", 120.0),
    "wenckebach": ("heart-block", 60.0),
    "mobitz": ("heart-block", 60.0),
}
# What is due clinically all the same, once it lasts so long: VF 4 s, VT 5 beats at 100 bpm (PhysioNet/CinC 2015, DOMAIN
# 2.2), AF 30 s (ESC); no pulse from memory.
_DUE_AFTER_S = {
    "ventricular-tachycardia": 3.0,
    "ventricular-fibrillation": 4.0,
    "pulseless": 10.0,
    "atrial-fibrillation": 30.0,
}
# Rhythms in which a detector of narrow beats finds some, none, or too many.
HARD: frozenset[RhythmName] = frozenset(
    {"ventricular-tachycardia", "ventricular-fibrillation", "ventricular-runs", "agonal", "atrial-flutter"}
)
_MAY_WHEN_HARD = ("asystole", "extreme-bradycardia", "extreme-tachycardia", "poor-signal", "cannot-analyse")
_MAY_WHEN_MOVING = ("poor-signal", "cannot-analyse", "off-body")
APNOEA_S = 20.0  # without breath, to be one (from memory: a patient monitor's usual limit)
DESATURATED = 90.0
FEVER_CEL = 38.1  # NEWS2 (DOMAIN 4)
_SOON_S = 60.0


def rhythm_expectations(episode: Episode) -> list[Expected]:
    """Alarms that an episode calls for, or explains."""
    found = []
    if episode.rhythm in _NAMED:
        condition, within_s = _NAMED[episode.rhythm]
        to_s = min(episode.from_s + within_s, episode.to_s + AFTERMATH_S)
        due = condition in _DUE_AFTER_S and episode.to_s - episode.from_s >= _DUE_AFTER_S[condition]
        found.append(_heart(condition, episode.from_s, to_s, due=due))
    if episode.rhythm in HARD:
        found += [_heart(may, episode.from_s, episode.to_s + AFTERMATH_S) for may in _MAY_WHEN_HARD]
    return found


def event_expectations(event: Event, from_s: float, to_s: float) -> list[Expected]:  # noqa: PLR0911  # one case per kind
    """Alarms that any other event calls for, or explains."""
    match event:
        case BreathEvent(breath="apnoea") if to_s - from_s >= APNOEA_S:
            begun_s = from_s + event.ramp_s
            return [_heart("apnoea", begun_s, begun_s + APNOEA_S + 10.0, due=to_s - begun_s >= APNOEA_S)]
        case BloodEvent(blood="desaturation") if event.spo2 < DESATURATED:
            due = to_s - from_s >= event.ramp_s
            return [_heart("desaturation", from_s, min(to_s, from_s + event.ramp_s + _SOON_S), due=due)]
        case TemperatureEvent() if event.core_cel >= FEVER_CEL:
            return [_heart("fever", from_s, min(to_s, from_s + event.ramp_s + 600.0))]
        case CourseEvent():
            return [_heart("deterioration", from_s, min(to_s, from_s + event.over_s))]
        case ActivityEvent(activity="compressions"):
            return [_heart(may, from_s, to_s + AFTERMATH_S) for may in (*_MAY_WHEN_HARD, "saturated")]
        case ActivityEvent():
            return [_heart(may, from_s, to_s + AFTERMATH_S) for may in _MAY_WHEN_MOVING]
        case _:
            return []


def hides(script: Script, from_s: float, to_s: float) -> bool:
    """Whether what the heart does in a time cannot be asked of a detector of beats."""
    return (
        bool(script.faults(from_s, to_s))
        or bool(script.spans(script.patient.activities, from_s, to_s))
        or any(episode.rhythm in HARD for episode in script.episodes(from_s, to_s))
    )


def _heart(condition: str, from_s: float, to_s: float, *, due: bool = False) -> Expected:
    return Expected(condition, from_s - EARLY_S, to_s, required=False, physiological=True, since_s=from_s, due=due)
