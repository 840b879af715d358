"""The life of an alarm as a table: for every state and every event, what comes next, what is told, or why nothing is.

Everything that decides what becomes of an alarm stands in this file. The banked step looks it up, the picture in
``ALARMS.md`` is drawn from it, and a test goes through every pair.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from dataflows.events import AlarmChange, AlarmState


class Phase(IntEnum):
    """Where an alarm stands. The numbers are for banks; a snapshot knows them by name."""

    CLEAR = 0  # there is none
    ACTIVE = 1
    ACKNOWLEDGED = 2
    MISSED = 3  # true, but its evidence came too late to page
    PENDING = 4  # true, and its delay runs, or something worse hides it
    LATCHED = 5  # over, and nobody has seen it
    SHELVED = 6  # true, and kept quiet for a while
    RESTING = 7  # kept quiet for a while, and not true
    ENDED = 8
    RETRACTED = 9  # it was never true


class Event(IntEnum):
    """What happens to an alarm."""

    NOTHING = 0
    BEGINS = 1  # true, but not for long enough; or something worse hides it
    HOLDS = 2  # true for as long as its delay
    RECURS = 3  # the same, and the last alarm of its kind has just ended
    HOLDS_LATE = 4  # the same, by evidence too old to page
    ABATES = 5  # not true, but not for long enough
    OVER = 6  # not true for as long as its clear time
    OVER_LATCHING = 7  # the same, of a condition that latches
    OVER_LATE = 8  # the same, by evidence too old to clear
    REFUTED = 9  # the same, and what was taken for it was something else
    WORSENS = 10  # true, and of a higher priority than before
    ACKNOWLEDGE = 11
    SHELVE = 12
    UNSHELVE = 13
    COMMENT = 14
    MARK = 15
    EXPIRES = 16  # the time on the shelf is over
    EXPIRES_UNSEEN = 17  # the same, of a condition that latches and came true on the shelf
    CLIMBS = 18  # nobody has answered for so long
    AGES = 19  # acknowledged, and true, for so long
    LEAVES = 20  # the patient does


class Move(NamedTuple):
    """What an event makes of a state."""

    to: Phase
    change: AlarmChange | None  # what is told; None: nothing
    why: str = ""  # of an event that does nothing; to a command it is the answer


STATE: Final[dict[Phase, AlarmState]] = {  # as it is told
    Phase.ACTIVE: "active",
    Phase.ACKNOWLEDGED: "acknowledged",
    Phase.MISSED: "missed",
    Phase.LATCHED: "latched",
    Phase.SHELVED: "shelved",
    Phase.RESTING: "shelved",
    Phase.ENDED: "ended",
    Phase.RETRACTED: "retracted",
}
CHANGES: Final[tuple[AlarmChange | None, ...]] = (None, *get_args(AlarmChange))
COMMANDS: Final = (Event.ACKNOWLEDGE, Event.SHELVE, Event.UNSHELVE, Event.COMMENT, Event.MARK)

_P, _E = Phase, Event
_NONE = (_P.CLEAR, _P.PENDING)  # no alarm is to be seen
_CLOSED = (_P.ENDED, _P.RETRACTED)
_ON = (_P.ACTIVE, _P.ACKNOWLEDGED)  # signalled, and true
_SHELF = (_P.SHELVED, _P.RESTING)
_BEFORE = (*_NONE, *_CLOSED)  # an alarm may begin
_ENDS = (_E.OVER, _E.OVER_LATCHING, _E.OVER_LATE, _E.REFUTED)
_EXPIRY = (_E.EXPIRES, _E.EXPIRES_UNSEEN)
_HOLDING = (_E.HOLDS, _E.RECURS)

# States, events, next state, what is told.
_MOVES: tuple[tuple[tuple[Phase, ...], tuple[Event, ...], Phase, AlarmChange | None], ...] = (
    ((_P.CLEAR, *_CLOSED), (_E.BEGINS,), _P.PENDING, None),
    (_BEFORE, (_E.HOLDS,), _P.ACTIVE, "raised"),
    (_BEFORE, (_E.RECURS,), _P.ACTIVE, "retriggered"),
    (_BEFORE, (_E.HOLDS_LATE,), _P.MISSED, "missed"),
    ((_P.PENDING,), (_E.ABATES, *_ENDS, _E.LEAVES), _P.CLEAR, None),
    ((_P.MISSED,), _HOLDING, _P.ACTIVE, "raised"),
    ((_P.MISSED,), (_E.OVER, _E.OVER_LATCHING, _E.OVER_LATE, _E.LEAVES), _P.CLEAR, None),
    ((_P.LATCHED,), _HOLDING, _P.ACTIVE, "retriggered"),
    ((_P.RESTING,), _HOLDING, _P.SHELVED, "retriggered"),
    (_ON, (_E.OVER,), _P.ENDED, "ended"),
    ((_P.ACTIVE,), (_E.OVER_LATCHING,), _P.LATCHED, "latched"),
    ((_P.ACKNOWLEDGED,), (_E.OVER_LATCHING,), _P.ENDED, "ended"),
    ((*_ON, _P.MISSED), (_E.REFUTED,), _P.RETRACTED, "retracted"),
    ((_P.SHELVED,), (_E.OVER, _E.OVER_LATCHING, _E.REFUTED), _P.RESTING, None),
    ((*_ON, _P.SHELVED), (_E.WORSENS,), _P.ACTIVE, "worsened"),
    ((_P.ACTIVE,), (_E.ACKNOWLEDGE,), _P.ACKNOWLEDGED, "acknowledged"),
    ((_P.LATCHED,), (_E.ACKNOWLEDGE,), _P.ENDED, "acknowledged"),
    ((*_ON, _P.SHELVED, _P.MISSED), (_E.SHELVE,), _P.SHELVED, "shelved"),
    ((*_BEFORE, _P.LATCHED, _P.RESTING), (_E.SHELVE,), _P.RESTING, "shelved"),
    ((_P.SHELVED,), (_E.UNSHELVE, *_EXPIRY), _P.ACTIVE, "unshelved"),
    ((_P.RESTING,), (_E.UNSHELVE, _E.EXPIRES), _P.ENDED, "unshelved"),
    ((_P.RESTING,), (_E.EXPIRES_UNSEEN,), _P.LATCHED, "latched"),
    ((_P.ACKNOWLEDGED,), (_E.AGES,), _P.ACTIVE, "retriggered"),
    ((*_ON, _P.LATCHED, *_SHELF), (_E.LEAVES,), _P.ENDED, "ended"),
)
# Events that leave the state as it is, and are told.
_REMARKS: tuple[tuple[tuple[Phase, ...], Event, AlarmChange], ...] = (
    ((*_ON, _P.LATCHED, *_SHELF, _P.MISSED, *_CLOSED), _E.COMMENT, "commented"),
    ((*_ON, _P.LATCHED, *_SHELF, _P.MISSED, *_CLOSED), _E.MARK, "marked"),
    ((_P.ACTIVE, _P.LATCHED), _E.CLIMBS, "escalated"),
)
# Events that do nothing, and why.
_STAYS: tuple[tuple[tuple[Phase, ...], tuple[Event, ...], str], ...] = (
    ((_P.PENDING,), (_E.BEGINS,), "its delay runs, or something worse hides it"),
    ((*_ON, _P.SHELVED, _P.MISSED), (_E.BEGINS,), "it stands, and needs no delay to go on"),
    ((_P.LATCHED, _P.RESTING), (_E.BEGINS,), "its delay runs before it comes again"),
    ((*_ON, _P.SHELVED), _HOLDING, "it stands already"),
    ((*_ON, _P.SHELVED, _P.MISSED), (_E.HOLDS_LATE,), "what is known of it already comes late"),
    ((_P.LATCHED, _P.RESTING), (_E.HOLDS_LATE,), "old evidence raises nothing, and this one is to be seen already"),
    ((_P.CLEAR, *_CLOSED), (_E.ABATES, *_ENDS), "there is nothing that could end"),
    ((*_ON, _P.SHELVED, _P.MISSED), (_E.ABATES,), "a flicker ends nothing"),
    ((*_ON, _P.SHELVED), (_E.OVER_LATE,), "old evidence clears nothing"),
    ((_P.LATCHED, _P.RESTING), (_E.ABATES, *_ENDS), "it is over already; what comes later does not unmake it"),
    ((*_BEFORE, _P.MISSED, _P.LATCHED, _P.RESTING), (_E.WORSENS,), "nothing is signalled that could get worse"),
    (_NONE, (_E.ACKNOWLEDGE, _E.COMMENT, _E.MARK), "does not stand: it ended or never was"),
    (_CLOSED, (_E.ACKNOWLEDGE,), "does not stand: it is over"),
    ((_P.MISSED,), (_E.ACKNOWLEDGE,), "does not stand: it was over before it could be told"),
    ((_P.ACKNOWLEDGED,), (_E.ACKNOWLEDGE,), "had been acknowledged before"),
    (_SHELF, (_E.ACKNOWLEDGE,), "is shelved: unshelve it first, then acknowledge it"),
    ((*_BEFORE, *_ON, _P.LATCHED, _P.MISSED), (_E.UNSHELVE,), "is not shelved"),
    ((*_BEFORE, *_ON, _P.LATCHED, _P.MISSED), _EXPIRY, "it is on no shelf"),
    ((*_BEFORE, _P.ACKNOWLEDGED, *_SHELF, _P.MISSED), (_E.CLIMBS,), "nobody has to answer"),
    ((*_BEFORE, _P.ACTIVE, _P.LATCHED, *_SHELF, _P.MISSED), (_E.AGES,), "nobody has acknowledged it"),
    ((_P.CLEAR, *_CLOSED), (_E.LEAVES,), "nothing stands"),
)


def _entries() -> Iterator[tuple[Phase, Event, Move]]:
    for phases, events, to, change in _MOVES:
        yield from ((phase, event, Move(to, change)) for phase in phases for event in events)
    for phases, event, remark in _REMARKS:
        yield from ((phase, event, Move(phase, remark)) for phase in phases)
    for phases, events, why in _STAYS:
        yield from ((phase, event, Move(phase, None, why)) for phase in phases for event in events)


def _table() -> dict[tuple[Phase, Event], Move]:
    table: dict[tuple[Phase, Event], Move] = {}
    for phase, event, move in _entries():
        if (phase, event) in table:
            raise ValueError(f"{phase.name} and {event.name} stand twice in the table of alarms: take one out")
        table[phase, event] = move
    missing = [(phase.name, event.name) for phase in Phase for event in Event if event and (phase, event) not in table]
    if missing:
        raise ValueError(f"the table of alarms says nothing of {missing}: say what happens, or why nothing does")
    return table


TABLE: Final = _table()


def _lookup(entry: dict[tuple[Phase, Event], int], *, identity: bool) -> NDArray[np.int8]:
    found = np.zeros((len(Phase), len(Event)), np.int8)
    for (phase, event), value in entry.items():
        found[phase, event] = value
    if identity:
        found[:, Event.NOTHING] = np.arange(len(Phase))
    found.setflags(write=False)
    return found


# The same for a bank: indexed by phase and event.
TO: Final = _lookup({pair: int(move.to) for pair, move in TABLE.items()}, identity=True)
CHANGE: Final = _lookup({pair: CHANGES.index(move.change) for pair, move in TABLE.items()}, identity=False)
NAMES: Final = _lookup(  # a move that begins an alarm of a name of its own
    {
        (phase, event): move.change in {"raised", "missed", "shelved"} and phase in _BEFORE
        for (phase, event), move in TABLE.items()
    },
    identity=False,
)
