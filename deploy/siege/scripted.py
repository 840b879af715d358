"""Scripted events against the alarms: whoever looks at the ward must have seen each while it went on."""

from collections.abc import Iterable, Sequence
from typing import Final

from dataflows.events import SECOND_NS, AlarmEvent
from device_sim.truth import AlarmLine

BEFORE_NS: Final = 5 * SECOND_NS
AFTER_NS: Final = 45 * SECOND_NS
BACK_NS: Final = 15 * SECOND_NS  # after a cut or a kill: until all are connected again, and have caught up


def never_active(
    expected: Iterable[AlarmLine], events: Sequence[AlarmEvent], cuts_ns: Sequence[tuple[int, int]]
) -> list[AlarmLine]:
    """Events that were found, but only when they were over, and no cut about their onset explains it.

    Parameters
    ----------
    expected
        What had to be found.
    events
        Every alarm event.
    cuts_ns
        From when to when something kept data from coming, or the flow from working (unix ns).
    """
    active = {event.id for event in events if event.state == "active"}
    found = []
    for alarm in expected:
        onsets = {event.id: event.onset_ns for event in events if _fits(event, alarm)}
        if onsets and active.isdisjoint(onsets) and not any(_cut(onset, cuts_ns) for onset in onsets.values()):
            found.append(alarm)
    return found


def _fits(event: AlarmEvent, alarm: AlarmLine) -> bool:
    named = (event.patient, event.condition) == (alarm.patient, alarm.condition)
    return named and alarm.from_ns <= event.onset_ns <= alarm.to_ns


def _cut(onset_ns: int, cuts_ns: Sequence[tuple[int, int]]) -> bool:
    return any(
        begin_ns <= onset_ns + AFTER_NS and end_ns + BACK_NS >= onset_ns - BEFORE_NS for begin_ns, end_ns in cuts_ns
    )
