"""A bank of alarms: what is known of each, and what an event of the table makes of it."""

import hashlib
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.alarm_table import CHANGE, CHANGES, NAMES, TO, Event, Phase
from dataflows.events import SECOND_NS, Condition
from dataflows.priorities import RANK
from dataflows.rules import N_CONDITIONS, RULES

IntArray = NDArray[np.int64]
Numbers = NDArray[Any]  # whole ones, as wide as they have to be
BoolArray = NDArray[np.bool_]

_EPISODE_NS = np.array([round(rule.episode_s * SECOND_NS) for rule in RULES], np.int64)
FIRST_RANK: Final = np.array([RANK[rule.priority] for rule in RULES], np.int8)


def among(*phases: Phase) -> BoolArray:
    """Mark some phases in an array by phase."""
    return np.isin(np.arange(len(Phase)), phases)


# By phase.
HOLDS: Final = among(Phase.ACTIVE, Phase.ACKNOWLEDGED, Phase.SHELVED)
STANDS: Final = among(Phase.ACTIVE, Phase.ACKNOWLEDGED, Phase.LATCHED, Phase.SHELVED, Phase.RESTING)
OPEN = among(Phase.CLEAR, Phase.PENDING, Phase.LATCHED, Phase.RESTING, Phase.ENDED, Phase.RETRACTED)  # may come true
SHELF = among(Phase.SHELVED, Phase.RESTING)
_CLOSED = among(Phase.ENDED, Phase.RETRACTED)
_DOES = (np.arange(len(Phase))[:, None] != TO) | (CHANGE > 0)
_OVER = np.isin(np.arange(len(Event)), (Event.OVER, Event.OVER_LATCHING, Event.OVER_LATE, Event.REFUTED))

_RAISED, _RETRIGGERED, _WORSENED, _SHELVED = (
    CHANGES.index(change) for change in ("raised", "retriggered", "worsened", "shelved")
)


class AlarmBank(NamedTuple):
    """Alarms of a bank of patients, shape (n_patients, N_CONDITIONS); of each condition the newest alarm.

    What has ended is still known, until another alarm of its kind begins.
    """

    phase: Numbers  # Phase
    onset_ns: Numbers  # when the condition came true, the last time
    true_ns: Numbers  # when it was last seen to be true
    over_ns: Numbers  # since when it is not true while the alarm stands; 0: it is
    ended_ns: Numbers  # when the last alarm of this kind was over: a new onset lies after it
    next_step: Numbers  # number of this alarm's next transition
    begun_ns: Numbers  # since when the condition is true; 0: it is not
    found_ns: Numbers  # arrival of what showed it to be true for its delay; 0: nothing has
    first_ns: Numbers  # onset that names the alarm; 0: there was none
    episode_ns: Numbers  # onset that names the first alarm of its episode; 0: it is itself the first
    occurrences: Numbers  # how often the condition came true
    since_ns: Numbers  # arrival of what made the alarm stand as it does; no later than the onset of what came shelved
    until_ns: Numbers  # of arrival, until when it is shelved; 0: it is not
    priority: Numbers  # rank
    level: Numbers  # rung of the ladder
    mark: Numbers  # index into MARKS
    closed: Numbers  # Phase in which the last alarm ended; 0: none did
    within: Numbers  # 1: it is told within an alarm of its ward, which climbs for both


class Happened(NamedTuple):
    """What a step made happen, shape (n_patients, N_CONDITIONS)."""

    event: Numbers  # Event
    change: Numbers  # what is told, index into `CHANGES`; 0: nothing


def no_alarms(n_patients: int) -> AlarmBank:
    """Return a bank in which nothing is wrong."""
    small = {"phase", "priority", "level", "mark", "closed", "within"}
    shape = (n_patients, N_CONDITIONS)
    return AlarmBank(*(np.zeros(shape, np.int8 if name in small else np.int64) for name in AlarmBank._fields))


def happen(
    bank: AlarmBank,
    event: Numbers,
    event_ns: IntArray,
    arrival_ns: IntArray,
    rank: Numbers = FIRST_RANK,
    until_ns: int = 0,
    mark: int = 0,
) -> tuple[AlarmBank, Happened]:
    """Let events happen: the table says what becomes of each alarm.

    Parameters
    ----------
    bank
        Alarms as they stand.
    event : shape (n_patients, N_CONDITIONS)
        One `Event` each.
    event_ns, arrival_ns : shape (n_patients,)
        When.
    rank : shape (n_patients, N_CONDITIONS), or of one patient
        Of the priority that each condition has now.
    until_ns, mark
        Of the commands that shelve and mark.
    """
    cells = np.nonzero(_DOES[bank.phase, event])
    if not len(cells[0]):
        return bank, Happened(event, np.zeros(event.shape, np.int8))
    to, change = TO[bank.phase, event], CHANGE[bank.phase, event]
    was = AlarmBank(*(field[cells] for field in bank))
    e, t, c, column = event[cells], to[cells], change[cells], cells[1]
    at, arrival = event_ns[cells[0]], arrival_ns[cells[0]]
    named = NAMES[was.phase, e] > 0
    on_shelf = named & (c == _SHELVED)  # before its condition came true
    again = (c == _RETRIGGERED) & (e != Event.AGES)
    over = _OVER[e] & ~OPEN[was.phase]
    first = np.where(on_shelf, np.maximum(arrival, was.ended_ns + 1), np.where(named, was.begun_ns, was.first_ns))
    linked = named & (was.first_ns > 0) & (first - was.ended_ns <= _EPISODE_NS[column])
    episode = np.where(was.episode_ns > 0, was.episode_ns, was.first_ns)
    onset = np.where(on_shelf, first, np.where(named | again, was.begun_ns, was.onset_ns))
    kept = SHELF[was.phase] & SHELF[t]
    wakes = (t == Phase.ACTIVE) & (was.phase != Phase.ACTIVE)
    stays = (t == was.phase) | kept | ((t == Phase.LATCHED) & (was.phase == Phase.ACTIVE))
    ended = np.where(over, at, was.ended_ns)
    ended = np.where((was.phase == Phase.RESTING) & _CLOSED[t], np.maximum(ended, onset), ended)
    closed = np.where(_CLOSED[t], t, np.where(STANDS[t] | (t == Phase.MISSED), 0, was.closed))
    # What comes back on the shelf keeps its priority: if it is worse by now, it worsens, and that breaks the shelf.
    rises = (named | again | (c == _RAISED) | (c == _WORSENED)) & ~kept
    now = AlarmBank(
        phase=t,
        onset_ns=onset,
        true_ns=was.true_ns,
        over_ns=np.where(OPEN[t], 0, was.over_ns),
        ended_ns=ended,
        next_step=np.where(named, 0, was.next_step) + (c > 0),
        begun_ns=np.where(over, 0, was.begun_ns),
        found_ns=np.where(over, 0, was.found_ns),
        first_ns=first,
        episode_ns=np.where(named, np.where(linked, episode, 0), was.episode_ns),
        occurrences=np.where(on_shelf, 0, np.where(named, 1, was.occurrences + again)),
        # Its onset may lie before the shelf, though it was found only on it: it has still to be seen.
        since_ns=np.where(kept & again, np.minimum(was.since_ns, onset), np.where(stays, was.since_ns, arrival)),
        until_ns=np.where(c == _SHELVED, until_ns, np.where(SHELF[t], was.until_ns, 0)),
        priority=np.where(rises, np.broadcast_to(rank, event.shape)[cells], was.priority),
        level=np.where(named | wakes, 0, was.level) + (e == Event.CLIMBS),
        mark=np.where(e == Event.MARK, mark, np.where(named, 0, was.mark)),
        closed=np.where((was.phase == Phase.MISSED) & (t == Phase.CLEAR), Phase.MISSED, closed),
        within=np.where(named | again, 0, was.within),
    )
    after = AlarmBank(*(field.copy() for field in bank))
    for field, new in zip(after, now, strict=True):
        field[cells] = new
    return after, Happened(event, change)


def alarm_id(patient: str, condition: Condition, onset_ns: int) -> str:
    """Name an alarm: the same in every replay of the same journal."""
    return hashlib.sha256(f"{patient}|{condition}|{onset_ns}".encode()).hexdigest()[:20]
