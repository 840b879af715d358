"""How much somebody is needed at a bed: what stands of a patient's alarms, in a number and in words."""

from typing import Final, Literal, NamedTuple

from dataflows.alarm_bank import STANDS, AlarmBank
from dataflows.alarm_table import STATE, Phase
from dataflows.events import SEEN, AlarmState, Condition, Need, Priority
from dataflows.priorities import PRIORITIES
from dataflows.rules import RULES

MARKS: Final[dict[Priority, str]] = {"high": "!!!", "medium": "!!", "low": "!"}  # seen without colour
WORDS: Final[dict[AlarmState, str]] = {  # of those that stand
    "active": "",
    "acknowledged": " (seen)",
    "latched": " (over, not seen)",
    "shelved": " (shelved)",
}
_SEEN: Final[dict[Priority, Need]] = {"low": 1, "medium": 2, "high": 3}
_UNSEEN: Final[dict[Priority, Need]] = {"low": 4, "medium": 5, "high": 6}


class Standing(NamedTuple):
    """What stands of a patient's alarms; as in `BedState`."""

    need: Need = 0
    priority: Priority | Literal[""] = ""
    condition: Condition | Literal[""] = ""
    words: str = ""
    since_ns: int = 0  # onset of the worst one; 0: none stands
    standing: int = 0
    acknowledged: int = 0


CALM: Final = Standing()


def standing(alarms: AlarmBank, row: int) -> Standing:
    """What stands of the alarms of one patient of a bank; of those that are as bad, the one that began first is told.

    Examples
    --------
    >>> from dataflows.alarm_bank import no_alarms
    >>> from dataflows.rules import COLUMN
    >>> alarms = no_alarms(1)
    >>> for condition, *how in (("frozen", Phase.ACKNOWLEDGED, 7, 2), ("poor-signal", Phase.ACTIVE, 9, 1)):
    ...     column = COLUMN[condition]
    ...     alarms.phase[0, column], alarms.onset_ns[0, column], alarms.priority[0, column] = how
    >>> standing(alarms, 0)[:5], standing(alarms, 0)[5:]
    ((4, 'low', 'poor-signal', '! LOW poor-signal', 9), (2, 1))
    """
    phases, onsets_ns = alarms.phase[row].tolist(), alarms.onset_ns[row].tolist()
    columns = [column for column, phase in enumerate(phases) if STANDS[phase]]
    if not columns:
        return CALM
    ranks = alarms.priority[row].tolist()
    states = {column: STATE[Phase(phases[column])] for column in columns}
    needed = {column: need(PRIORITIES[ranks[column]], seen=states[column] in SEEN) for column in columns}
    worst = max(needed, key=lambda column: (needed[column], -onsets_ns[column]))
    priority, condition = PRIORITIES[ranks[worst]], RULES[worst].condition
    seen = sum(state in SEEN for state in states.values())
    words = in_words(priority, condition, seen=False) + WORDS[states[worst]]
    return Standing(needed[worst], priority, condition, words, onsets_ns[worst], len(columns), seen)


def in_words(priority: Priority, condition: str, *, seen: bool) -> str:
    """An alarm as it can be read without colour.

    Examples
    --------
    >>> in_words("high", "asystole", seen=True)
    '!!! HIGH asystole (seen)'
    """
    return f"{MARKS[priority]} {priority.upper()} {condition}{' (seen)' if seen else ''}"


def need(priority: Priority, *, seen: bool) -> Need:
    """Say how much somebody is needed because of one alarm.

    Examples
    --------
    >>> need("low", seen=False) > need("high", seen=True)
    True
    """
    return (_SEEN if seen else _UNSEEN)[priority]
