"""The life of alarms: one state machine over a bank of patients, each condition a column, driven by evidence only."""

import hashlib
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.events import SECOND_NS, Condition
from dataflows.rules import N_CONDITIONS, RULES

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

CONTINUITY_NS = 2 * SECOND_NS  # a condition that was not looked at for longer has not been holding all the while
STALE_NS = 30 * SECOND_NS  # older evidence neither raises nor clears

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
