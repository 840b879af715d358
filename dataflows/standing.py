"""How much somebody is needed at a bed: what stands of a patient's alarms, in a number and in words."""

from typing import Final, Literal, NamedTuple

from dataflows.alarms import AlarmBank, Phase
from dataflows.events import Condition, Need, Priority
from dataflows.rules import RULES

MARKS: Final[dict[Priority, str]] = {"high": "!!!", "medium": "!!", "low": "!"}  # seen without colour
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
    >>> from dataflows.alarms import no_alarms
    >>> from dataflows.rules import COLUMN
    >>> alarms = no_alarms(1)
    >>> for condition, phase, onset_ns in (("frozen", Phase.ACKNOWLEDGED, 7), ("poor-signal", Phase.ACTIVE, 9)):
    ...     alarms.phase[0, COLUMN[condition]], alarms.onset_ns[0, COLUMN[condition]] = phase, onset_ns
    >>> standing(alarms, 0)[:5], standing(alarms, 0)[5:]
    ((4, 'low', 'poor-signal', '! LOW poor-signal', 9), (2, 1))
    """
    phases, onsets_ns = alarms.phase[row].tolist(), alarms.onset_ns[row].tolist()
    active = [column for column, phase in enumerate(phases) if phase == Phase.ACTIVE]
    seen = [column for column, phase in enumerate(phases) if phase == Phase.ACKNOWLEDGED]
    if not active and not seen:
        return CALM
    needed = {column: need(RULES[column].priority, seen=column in seen) for column in sorted(active + seen)}
    worst = max(needed, key=lambda column: (needed[column], -onsets_ns[column]))
    rule = RULES[worst]
    words = in_words(rule.priority, rule.condition, seen=worst in seen)
    return Standing(
        needed[worst], rule.priority, rule.condition, words, onsets_ns[worst], len(active) + len(seen), len(seen)
    )


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
