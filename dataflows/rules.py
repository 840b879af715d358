"""The rules: what makes an alarm of each condition, in one table; each rule is a column of every bank of alarms."""

from collections.abc import Mapping
from typing import NamedTuple

from dataflows.events import AlarmKind, Condition, Priority
from dataflows.priorities import PRIORITY, Risk

# By the index of anomaly.deterioration.PATTERNS. Words for what is seen, not for what it is.
_COURSES = (
    "heart and breath faster and skin warmer than is usual for this patient",
    "heart and breath faster and skin colder than is usual for this patient",
    "breath faster and saturation lower than is usual for this patient",
    "heart and breath slower than is usual for this patient",
)

# By anomaly.sensor_faults.SensorFault, from its first on.
_SENSOR_FAULTS = (
    "a channel of the sensor is dead: the others are used",
    "the sensor flickers: its noise has grown, most of all where the heart is",
    "the sensor is noisier than it was",
    "a line that is no mains is in the sensor, such as its heater's current",
    "the sensor's channels are scaled otherwise than before: is its calibration its own?",
    "the sensor has lost a part of its gain",
)


class Rule(NamedTuple):
    """What makes an alarm of a condition."""

    condition: Condition
    category: AlarmKind
    risk: Risk  # of nobody answering
    limit: float  # in the unit of the condition's value; NaN: it is not held against one
    delay_s: float  # how long the condition holds before it is an alarm
    clear_s: float  # how long it is over before the alarm ends
    reasons: tuple[str, ...]  # words for a nurse, chosen by the evidence's `why`
    latches: bool = False  # it stands until somebody has seen it, though it is over
    gap_s: float = 30.0  # one that comes again so soon is the same alarm; 0: never
    episode_s: float = 600.0  # one that comes again so soon is another alarm of the same episode

    @property
    def priority(self) -> Priority:
        """Priority at first; it may rise."""
        return PRIORITY[self.risk]


_FATAL_NOW, _FATAL_SOON, _FATAL_LATER = (
    Risk("death", "immediate"),
    Risk("death", "prompt"),
    Risk("death", "delayed"),
)
_HARMFUL_SOON, _HARMFUL_LATER = Risk("injury", "prompt"), Risk("injury", "delayed")

RULES: tuple[Rule, ...] = (
    Rule(
        "asystole",
        "physiological",
        _FATAL_NOW,
        4.0,
        0.0,
        2.0,
        (
            "no heartbeat for {value:.0f} s",
            "no heartbeat for {value:.0f} s on a poor signal: asystole or sensor off",
            "no heartbeat for {value:.0f} s, and no pulse",
        ),
        latches=True,
    ),
    Rule(
        "ventricular-fibrillation",
        "physiological",
        _FATAL_NOW,
        float("nan"),
        0.0,
        2.0,
        (
            "a wave without beats at {value:.0f} /min: ventricular fibrillation",
            "a wave without beats at {value:.0f} /min on a poor signal: fibrillation or artefact",
        ),
        latches=True,
    ),
    Rule(
        "ventricular-tachycardia",
        "physiological",
        _FATAL_NOW,
        100.0,
        0.0,
        2.0,
        (
            "wide beats without pauses at {value:.0f} /min: ventricular tachycardia",
            "wide beats without pauses at {value:.0f} /min on a poor signal: tachycardia or artefact",
        ),
        latches=True,
    ),
    Rule(
        "extreme-bradycardia",
        "physiological",
        _FATAL_SOON,
        40.0,
        0.0,
        3.0,
        (
            "heart rate {value:.0f} /min over 5 beats",
            "heart rate {value:.0f} /min over 5 beats, and so the pulse",
            "pulse {value:.0f} /min; of the heart's own signal nothing is known",
        ),
    ),
    Rule(
        "extreme-tachycardia",
        "physiological",
        _FATAL_SOON,
        140.0,
        0.0,
        3.0,
        (
            "heart rate {value:.0f} /min over 17 beats",
            "heart rate {value:.0f} /min over 17 beats, and so the pulse",
            "pulse {value:.0f} /min; of the heart's own signal nothing is known",
        ),
    ),
    Rule("pause", "physiological", _HARMFUL_SOON, 3.0, 0.0, 20.0, ("the heart rested for {value:.1f} s",)),
    Rule(
        "atrial-fibrillation",
        "physiological",
        _FATAL_LATER,
        0.5,
        30.0,
        60.0,
        ("irregular beats without P waves: atrial fibrillation, probability {value:.2f}",),
        gap_s=120.0,
    ),
    Rule(
        "bigeminy",
        "physiological",
        _HARMFUL_LATER,
        5.0,
        10.0,
        30.0,
        ("every second beat comes early and is of another kind",),
    ),
    Rule("apnoea", "physiological", _FATAL_SOON, 20.0, 0.0, 3.0, ("no breath for {value:.0f} s",)),
    Rule("resp-low", "physiological", _HARMFUL_SOON, 8.0, 30.0, 15.0, ("breath rate {value:.0f} /min",)),
    Rule("resp-high", "physiological", _HARMFUL_SOON, 30.0, 30.0, 15.0, ("breath rate {value:.0f} /min",)),
    Rule("spo2-low", "physiological", _HARMFUL_SOON, 90.0, 10.0, 10.0, ("oxygen saturation {value:.0f} %",)),
    Rule("temp-low", "physiological", _HARMFUL_SOON, 28.0, 60.0, 60.0, ("skin temperature {value:.1f} Cel",)),
    Rule("temp-high", "physiological", _HARMFUL_SOON, 38.1, 60.0, 60.0, ("skin temperature {value:.1f} Cel",)),
    Rule("ventricular-run", "physiological", _FATAL_LATER, 3.0, 0.0, 30.0, ("{value:.0f} ventricular beats in a row",)),
    Rule("deterioration", "physiological", _FATAL_LATER, float("nan"), 0.0, 0.0, _COURSES),
    Rule(
        "urgent-deterioration",
        "physiological",
        _FATAL_SOON,
        5.0,
        0.0,
        0.0,
        tuple(f"{words}; NEWS2 {{value:.0f}}+" for words in _COURSES),
    ),
    Rule(
        "lost-contact",
        "technical",
        _HARMFUL_SOON,
        10.0,
        0.0,
        0.0,
        ("no usable packet from the device for 10 s: see `femtoward devices show`",),
        gap_s=0.0,
    ),
    Rule("sensor-fault", "technical", _HARMFUL_LATER, 0.0, 0.0, 0.0, _SENSOR_FAULTS),
    Rule(
        "device-fault",
        "technical",
        _HARMFUL_LATER,
        0.0,
        0.0,
        0.0,
        ("something is wrong with it: see `femtoward devices show`",),
    ),
    Rule("frozen", "technical", _HARMFUL_SOON, 2.0, 0.0, 2.0, ("the sensor repeats one value",)),
    Rule(
        "saturated",
        "technical",
        _HARMFUL_SOON,
        0.1,
        1.0,
        2.0,
        ("the sensor is at the end of its range", "the sensor has lost its lock", "the sensor is zeroing"),
    ),
    Rule(
        "poor-signal",
        "technical",
        _HARMFUL_LATER,
        0.3,
        10.0,
        3.0,
        ("signal quality {value:.2f}: check how the device sits", "the device sends samples that are no numbers"),
    ),
    Rule(
        "cannot-analyse",
        "technical",
        _HARMFUL_SOON,
        10.0,
        10.0,
        3.0,
        ("no heart rate can be measured from any sensor",),
    ),
    Rule(
        "off-body",
        "technical",
        _HARMFUL_SOON,
        float("nan"),
        3.0,
        3.0,
        ("the device lies still, cold and without a pulse",),
    ),
    Rule(
        "late-data",
        "technical",
        _HARMFUL_SOON,
        30.0,
        10.0,
        0.0,
        ("the data come {value:.0f} s late and cannot page: check the device's clock and its connection",),
    ),
    Rule(
        "flooding",
        "technical",
        _HARMFUL_SOON,
        0.0,
        0.0,
        0.0,
        ("sends more than it can measure, and is throttled: see `femtoward devices show`",),
    ),
    Rule(
        "ward-silent",
        "technical",
        _FATAL_SOON,
        5.0,
        0.0,
        0.0,
        ("many devices of a ward fell silent at once",),
        gap_s=0.0,
    ),
    Rule("broker-lost", "technical", _HARMFUL_SOON, 10.0, 10.0, 0.0, ("the connection to the MQTT broker is down",)),
    Rule("system-fault", "technical", _HARMFUL_SOON, 0.0, 0.0, 0.0, ("a part of the system is in trouble",), gap_s=0.0),
)
COLUMN: Mapping[str, int] = {rule.condition: i for i, rule in enumerate(RULES)}
N_CONDITIONS = len(RULES)
