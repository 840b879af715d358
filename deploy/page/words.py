"""What has become of an alarm, in words: nothing of it is told by a colour alone."""

from datetime import UTC, datetime

from dataflows.events import AlarmEvent
from dataflows.standing import in_words

_STATES = {
    "acknowledged": "seen",
    "latched": "over, not seen",
    "shelved": "shelved",
    "ended": "over",
    "retracted": "taken back",
    "missed": "missed: came too late",
}


def in_full(event: AlarmEvent) -> str:
    """Return an alarm and its state as they can be read without colour.

    Examples
    --------
    >>> from msgspec.structs import replace
    >>> event = AlarmEvent("north", "a1", 0, "p1", "asystole", "physiological", "high", "latched", 0, 0, 0, 4.0, 4.0,
    ...                    0.9, 0.9, "asystole", "1", "no heartbeat for 4 s")
    >>> in_full(event)
    '!!! HIGH asystole (over, not seen)'
    >>> in_full(replace(event, state="shelved", until_ns=120 * 10**9))
    '!!! HIGH asystole (shelved until 00:02Z)'
    """
    words = in_words(event.priority, event.condition, seen=False)
    return f"{words} ({_state(event)})" if event.state in _STATES else words


def said_of(event: AlarmEvent) -> str:
    """Return what has become of an alarm, and what the last person said of it; empty: nothing has.

    Examples
    --------
    >>> from msgspec.structs import replace
    >>> event = AlarmEvent("north", "a1", 0, "p1", "asystole", "physiological", "high", "active", 0, 0, 0, 4.0, 4.0,
    ...                    0.9, 0.9, "asystole", "1", "no heartbeat for 4 s")
    >>> said_of(event)
    ''
    >>> said_of(replace(event, state="acknowledged", actor="ana", note="on my way", occurrences=3, level=1))
    'seen by ana: on my way; 3 times; escalated to step 1'
    >>> said_of(replace(event, state="acknowledged", change="commented", actor="ben", note="a lead was off"))
    'seen; ben: a lead was off'
    """
    state, who = _state(event), event.actor
    match event.change:  # who speaks of it has not changed its state
        case "marked" if who:
            parts = [state, _noted(f"marked {event.mark} by {who}", event.note)]
        case "commented" if who:
            parts = [state, _noted(who, event.note)]
        case _:
            parts = [_noted(f"{state} by {who}" if who else state, event.note)]
    parts += [f"{event.occurrences} times"] if event.occurrences > 1 else []
    parts += [f"escalated to step {event.level}"] if event.level else []
    parts += [f"marked {event.mark}"] if event.mark and event.change != "marked" else []
    return "; ".join(part for part in parts if part)


def _noted(text: str, note: str) -> str:
    return f"{text}: {note}" if note else text


def _state(event: AlarmEvent) -> str:
    word = _STATES.get(event.state, "")
    if event.state == "shelved" and event.until_ns:
        return f"{word} until {datetime.fromtimestamp(event.until_ns / 1e9, UTC):%H:%M}Z"
    return word
