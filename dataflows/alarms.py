"""The life of alarms: one state machine over a bank of patients, each condition a column, driven by evidence only."""

import hashlib
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.events import SECOND_NS, AlarmKind, Condition, Priority

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

CONTINUITY_NS = 2 * SECOND_NS  # a condition that was not looked at for longer has not been holding all the while
STALE_NS = 30 * SECOND_NS  # older evidence neither raises nor clears

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
        ("heart rate {value:.0f} /min over 5 beats", "heart rate {value:.0f} /min over 5 beats, and so the pulse"),
    ),
    Rule(
        "extreme-tachycardia",
        "physiological",
        "high",
        140.0,
        0.0,
        3.0,
        ("heart rate {value:.0f} /min over 17 beats", "heart rate {value:.0f} /min over 17 beats, and so the pulse"),
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
    Rule("broker-lost", "technical", "medium", 10.0, 10.0, 0.0, ("the connection to the MQTT broker is down",)),
    Rule("system-fault", "technical", "low", 0.0, 0.0, 0.0, ("a part of the system is in trouble",)),
)
COLUMN: dict[Condition, int] = {rule.condition: i for i, rule in enumerate(RULES)}
N_CONDITIONS = len(RULES)
_DELAY_NS = np.array([round(rule.delay_s * SECOND_NS) for rule in RULES], np.int64)
_CLEAR_NS = np.array([round(rule.clear_s * SECOND_NS) for rule in RULES], np.int64)


class Phase(IntEnum):
    """Where an alarm stands."""

    CLEAR = 0
    ACTIVE = 1
    ACKNOWLEDGED = 2
    MISSED = 3  # true, but its evidence came too late to page


class Transition(IntEnum):
    """What happened to an alarm in one step."""

    NONE = 0
    RAISED = 1
    ENDED = 2
    MISSED = 3


class AlarmBank(NamedTuple):
    """Alarms of a bank of patients, shape (n_patients, N_CONDITIONS)."""

    phase: IntArray  # Phase
    onset_ns: IntArray  # when the condition came true; 0: it is not
    true_ns: IntArray  # when it was last seen to be true
    over_ns: IntArray  # since when it is over while the alarm stands; 0: it is not over
    ended_ns: IntArray  # when the last alarm of this kind ended: a new onset lies after it
    next_step: IntArray  # number of this alarm's next transition


class Evidence(NamedTuple):
    """What is known of every condition at one moment, shape (n_patients, N_CONDITIONS)."""

    truth: IntArray  # 1 true, 0 false, -1 not known
    onset_ns: IntArray
    value: FloatArray
    why: IntArray  # which of the rule's reasons
    u: FloatArray  # standard uncertainty of the value, same unit; NaN: not stated
    limit: FloatArray  # what the value was compared with, same unit; NaN: the rule's own
    confidence: FloatArray  # probability that it is true, 0..1; NaN: nobody states one


def no_alarms(n_patients: int) -> AlarmBank:
    """Return a bank in which nothing is wrong."""
    return AlarmBank(*(np.zeros((n_patients, N_CONDITIONS), np.int64) for _ in AlarmBank._fields))


def nothing_known(n_patients: int) -> Evidence:
    """Return evidence that says nothing, to be filled in column by column."""
    shape = (n_patients, N_CONDITIONS)
    return Evidence(
        truth=np.full(shape, -1, np.int64),
        onset_ns=np.zeros(shape, np.int64),
        value=np.full(shape, np.nan),
        why=np.zeros(shape, np.int64),
        u=np.full(shape, np.nan),
        limit=np.full(shape, np.nan),
        confidence=np.full(shape, np.nan),
    )


def step(bank: AlarmBank, evidence: Evidence, event_ns: IntArray, stale: BoolArray) -> tuple[AlarmBank, IntArray]:
    """Advance every alarm by one moment.

    Parameters
    ----------
    bank
        Alarms as they stand.
    evidence
        What is known now. Not known (-1) holds everything as it is.
    event_ns : shape (n_patients,)
        Time of the newest evidence.
    stale : shape (n_patients,)
        The evidence was older than 30 s on arrival: it neither raises nor clears, but what it shows is recorded.

    Returns
    -------
    AlarmBank
        Alarms after it.
    ndarray, shape (n_patients, N_CONDITIONS)
        The `Transition` of each.
    """
    now = event_ns[:, None]
    stale = stale[:, None]
    true, false = evidence.truth == 1, evidence.truth == 0
    clear, missed = bank.phase == Phase.CLEAR, bank.phase == Phase.MISSED

    holding = (bank.onset_ns > 0) & (now - bank.true_ns <= CONTINUITY_NS)
    begun = np.where(holding, bank.onset_ns, np.maximum(evidence.onset_ns, bank.ended_ns + 1))
    onset = np.where(clear & true, begun, np.where(clear & false, 0, bank.onset_ns))
    held = true & clear & (now - onset >= _DELAY_NS)
    is_missed = held & stale
    raised = (held | (missed & true)) & ~stale

    counts = false & ~clear & (~stale | missed)
    over = np.where(true, 0, np.where(counts & (bank.over_ns == 0), now, bank.over_ns))
    done = counts & (now - over >= _CLEAR_NS)
    ended = done & ~missed

    phase = np.where(raised, Phase.ACTIVE, np.where(is_missed, Phase.MISSED, np.where(done, Phase.CLEAR, bank.phase)))
    moved = raised | is_missed | ended
    after = AlarmBank(
        phase=phase,
        onset_ns=np.where(done, 0, onset),
        true_ns=np.where(true, now, bank.true_ns),
        over_ns=np.where(done, 0, over),
        ended_ns=np.where(done, now, bank.ended_ns),
        next_step=np.where(done, 0, bank.next_step + moved),
    )
    transition = Transition.RAISED * raised.astype(np.int64) + Transition.ENDED * ended + Transition.MISSED * is_missed
    return after, transition


def alarm_id(patient: str, condition: Condition, onset_ns: int) -> str:
    """Name an alarm: the same in every replay of the same journal."""
    return hashlib.sha256(f"{patient}|{condition}|{onset_ns}".encode()).hexdigest()[:20]
