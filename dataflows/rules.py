"""The rules: what makes an alarm of each condition, in one table; each rule is a column of every bank of alarms."""

from typing import NamedTuple

from dataflows.events import AlarmKind, Condition, Priority

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
    priority: Priority
    limit: float  # in the unit of the condition's value; NaN: it is not held against one
    delay_s: float  # how long the condition holds before it is an alarm
    clear_s: float  # how long it is over before the alarm ends
    reasons: tuple[str, ...]  # words for a nurse, chosen by the evidence's `why`


RULES: tuple[Rule, ...] = (
    Rule(
        "asystole",
        "physiological",
        "high",
        4.0,
        0.0,
        2.0,
        (
            "no heartbeat for {value:.0f} s",
            "no heartbeat for {value:.0f} s on a poor signal: asystole or sensor off",
            "no heartbeat for {value:.0f} s, and no pulse",
        ),
    ),
    Rule(
        "ventricular-fibrillation",
        "physiological",
        "high",
        float("nan"),
        0.0,
        2.0,
        (
            "a wave without beats at {value:.0f} /min: ventricular fibrillation",
            "a wave without beats at {value:.0f} /min on a poor signal: fibrillation or artefact",
        ),
    ),
    Rule(
        "ventricular-tachycardia",
        "physiological",
        "high",
        100.0,
        0.0,
        2.0,
        (
            "wide beats without pauses at {value:.0f} /min: ventricular tachycardia",
            "wide beats without pauses at {value:.0f} /min on a poor signal: tachycardia or artefact",
        ),
    ),
    Rule(
        "extreme-bradycardia",
        "physiological",
        "high",
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
        "high",
        140.0,
        0.0,
        3.0,
        (
            "heart rate {value:.0f} /min over 17 beats",
            "heart rate {value:.0f} /min over 17 beats, and so the pulse",
            "pulse {value:.0f} /min; of the heart's own signal nothing is known",
        ),
    ),
    Rule("pause", "physiological", "medium", 3.0, 0.0, 20.0, ("the heart rested for {value:.1f} s",)),
    Rule(
        "atrial-fibrillation",
        "physiological",
        "medium",
        0.5,
        30.0,
        60.0,
        ("irregular beats without P waves: atrial fibrillation, probability {value:.2f}",),
    ),
    Rule(
        "bigeminy", "physiological", "low", 5.0, 10.0, 30.0, ("every second beat comes early and is of another kind",)
    ),
    Rule("apnoea", "physiological", "high", 20.0, 0.0, 3.0, ("no breath for {value:.0f} s",)),
    Rule("resp-low", "physiological", "medium", 8.0, 30.0, 15.0, ("breath rate {value:.0f} /min",)),
    Rule("resp-high", "physiological", "medium", 30.0, 30.0, 15.0, ("breath rate {value:.0f} /min",)),
    Rule("spo2-low", "physiological", "medium", 90.0, 10.0, 10.0, ("oxygen saturation {value:.0f} %",)),
    Rule("temp-low", "physiological", "medium", 28.0, 60.0, 60.0, ("skin temperature {value:.1f} Cel",)),
    Rule("temp-high", "physiological", "medium", 38.1, 60.0, 60.0, ("skin temperature {value:.1f} Cel",)),
    Rule("ventricular-run", "physiological", "medium", 3.0, 0.0, 30.0, ("{value:.0f} ventricular beats in a row",)),
    Rule("deterioration", "physiological", "medium", float("nan"), 0.0, 0.0, _COURSES),
    Rule(
        "urgent-deterioration",
        "physiological",
        "high",
        5.0,
        0.0,
        0.0,
        tuple(f"{words}; NEWS2 {{value:.0f}}+" for words in _COURSES),
    ),
    Rule(
        "lost-contact",
        "technical",
        "medium",
        10.0,
        0.0,
        0.0,
        ("no usable packet from the device for 10 s: see `femtoward devices show`",),
    ),
    Rule("sensor-fault", "technical", "low", 0.0, 0.0, 0.0, _SENSOR_FAULTS),
    Rule(
        "device-fault", "technical", "low", 0.0, 0.0, 0.0, ("something is wrong with it: see `femtoward devices show`",)
    ),
    Rule("frozen", "technical", "medium", 2.0, 0.0, 2.0, ("the sensor repeats one value",)),
    Rule(
        "saturated",
        "technical",
        "medium",
        0.1,
        1.0,
        2.0,
        ("the sensor is at the end of its range", "the sensor has lost its lock", "the sensor is zeroing"),
    ),
    Rule(
        "poor-signal",
        "technical",
        "low",
        0.3,
        10.0,
        3.0,
        ("signal quality {value:.2f}: check how the device sits", "the device sends samples that are no numbers"),
    ),
    Rule("cannot-analyse", "technical", "medium", 10.0, 10.0, 3.0, ("no heart rate can be measured from any sensor",)),
    Rule(
        "off-body", "technical", "medium", float("nan"), 3.0, 3.0, ("the device lies still, cold and without a pulse",)
    ),
    Rule(
        "late-data",
        "technical",
        "medium",
        30.0,
        10.0,
        0.0,
        ("the data come {value:.0f} s late and cannot page: check the device's clock and its connection",),
    ),
    Rule(
        "flooding",
        "technical",
        "medium",
        0.0,
        0.0,
        0.0,
        ("sends more than it can measure, and is throttled: see `femtoward devices show`",),
    ),
    Rule("ward-silent", "technical", "high", 5.0, 0.0, 0.0, ("many devices of a ward fell silent at once",)),
    Rule("broker-lost", "technical", "medium", 10.0, 10.0, 0.0, ("the connection to the MQTT broker is down",)),
    Rule("system-fault", "technical", "low", 0.0, 0.0, 0.0, ("a part of the system is in trouble",)),
)
COLUMN: dict[Condition, int] = {rule.condition: i for i, rule in enumerate(RULES)}
N_CONDITIONS = len(RULES)
