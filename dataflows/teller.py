"""Alarm events: what is told of a cell of the bank of alarms, in words that a nurse can use."""

from collections.abc import Callable
from typing import Final, Literal

from msgspec.structs import replace

from dataflows.alarm_bank import AlarmBank, alarm_id
from dataflows.alarm_images import Lore
from dataflows.alarm_table import CHANGES, STATE, Event, Phase
from dataflows.events import NAN, AlarmEvent
from dataflows.items import name_of, site_of
from dataflows.priorities import PRIORITIES
from dataflows.rules import RULES
from dataflows.units import UNITS

VERSION: Final = "2"
MARKS: Final[tuple[Literal["", "true", "false"], ...]] = ("", "true", "false")
MS_NS: Final = 1_000_000
NO_LORE: Final = Lore("", NAN, NAN, NAN, NAN, 1.0)
FRESH: Final = frozenset({"raised", "retriggered", "worsened", "missed"})  # changes that evidence makes

Place = Callable[[str], tuple[str, str]]

# What is said instead of the condition's own reason; {reason} is that, {s} how long the alarm has stood as it did.
_WORDS: Final[dict[Event, str]] = {
    Event.OVER: "over",
    Event.OVER_LATCHING: "over",
    Event.REFUTED: "it was not so: what came since contradicts it",
    Event.EXPIRES: "its time on the shelf is over: {reason}",
    Event.EXPIRES_UNSEEN: "its time on the shelf is over, and nobody has seen it: {reason}",
    Event.CLIMBS: "nobody has answered for {s:.0f} s: {reason}",
    Event.AGES: "acknowledged {s:.0f} s ago, and still so: {reason}",
}


def told(
    patient: str, column: int, row: int, bank: AlarmBank, change: int, place: tuple[str, str], at_ns: tuple[int, int]
) -> AlarmEvent:
    """Make the event of a cell, after what happened to it.

    Parameters
    ----------
    patient
        ``site/patient``.
    column, row
        Cell of the bank.
    bank
        Alarms after it.
    change
        Index into `CHANGES`.
    place
        Ward and bed.
    at_ns
        Time of the evidence, and of arrival.
    """
    rule = RULES[column]
    cell = AlarmBank(*(field[row, column] for field in bank))
    what = CHANGES[change]
    if what is None:
        raise ValueError(f"nothing happened to {rule.condition} of {patient} that could be told")
    phase = Phase(int(cell.phase))
    phase = phase if phase in STATE else Phase(int(cell.closed))
    episode = alarm_id(patient, rule.condition, int(cell.episode_ns)) if cell.episode_ns else ""
    return AlarmEvent(
        site=site_of(patient),
        id=alarm_id(patient, rule.condition, int(cell.first_ns)),
        step=int(cell.next_step) - 1,
        patient=name_of(patient),
        condition=rule.condition,
        category=rule.category,
        priority=PRIORITIES[int(cell.priority)],
        state=STATE[phase],
        onset_ns=int(cell.onset_ns),
        event_ns=at_ns[0],
        arrival_ns=at_ns[1],
        value=NAN,
        limit=rule.limit,
        unit=UNITS[rule.condition],
        quality=NAN,
        confidence=1.0,
        algorithm=rule.condition,
        version=VERSION,
        reason="",
        ward=place[0],
        bed=place[1],
        change=what,
        episode=episode,
        occurrences=int(cell.occurrences),
        until_ns=int(cell.until_ns),
        mark=MARKS[int(cell.mark)],
        level=int(cell.level),
    )


def by_evidence(event: AlarmEvent, lore: Lore, happened: Event, found_ns: int) -> AlarmEvent:
    """Say of an event what is known of its evidence."""
    delays = {}
    if event.change in FRESH and found_ns:
        delays = {
            "condition_delay_ms": (found_ns - event.onset_ns) / MS_NS,
            "signal_delay_ms": (event.arrival_ns - found_ns) / MS_NS,
        }
    return replace(
        event,
        value=lore.value,
        u=lore.u,
        limit=lore.limit,
        quality=lore.quality,
        confidence=lore.confidence,
        reason=_WORDS.get(happened, lore.reason),
        **delays,
    )


def by_clock(event: AlarmEvent, lore: Lore, happened: Event, since_ns: int) -> AlarmEvent:
    """Say of an event that the clock made what the alarm is about."""
    words = _WORDS[happened].format(reason=lore.reason or event.condition, s=(event.arrival_ns - since_ns) / 1e9)
    return replace(event, value=lore.value, u=lore.u, limit=lore.limit, reason=words)
