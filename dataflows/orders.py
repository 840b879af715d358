"""What people say of alarms: each command is an event of the table, or is answered with words."""

from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from dataflows.alarm_bank import AlarmBank, alarm_id, happen
from dataflows.alarm_images import Lore
from dataflows.alarm_table import TABLE, Event, Phase
from dataflows.alarms import may_climb
from dataflows.events import SECOND_NS, AlarmEvent, Answer
from dataflows.items import Commanded, name_of, site_of
from dataflows.priorities import SHELF_LATCHING_S
from dataflows.rules import COLUMN, RULES
from dataflows.teller import MARKS, NO_LORE, told
from ingest.command import Acknowledge, Comment, Hasten, Mark, Shelve, Unshelve

_EVENT: Final[dict[type, Event]] = {
    Acknowledge: Event.ACKNOWLEDGE,
    Shelve: Event.SHELVE,
    Unshelve: Event.UNSHELVE,
    Comment: Event.COMMENT,
    Mark: Event.MARK,
    Hasten: Event.CLIMBS,
}


class Obeyed(NamedTuple):
    """What became of a command."""

    bank: AlarmBank  # the patient's row after it
    event: AlarmEvent | None
    answer: Answer


def obey(order: Commanded, bank: AlarmBank, lore: dict[str, Lore], place: tuple[str, str]) -> Obeyed:
    """Do a command, or say why not.

    Parameters
    ----------
    order
        The command, and who gave it.
    bank
        The patient's row.
    lore
        What the patient's newest alarms were told with, by condition.
    place
        Ward and bed.
    """
    command, name = order.command, name_of(order.patient)
    no = Answer(site_of(order.patient), command.id, order.actor, done=False, detail="", arrival_ns=order.arrival_ns)
    if isinstance(command, Shelve | Unshelve):
        column = COLUMN.get(command.condition)  # anybody may write anything
        subject = f"{command.condition} of {name}"
        if column is None:
            known = ", ".join(COLUMN)
            return Obeyed(bank, None, replace(no, detail=f"no condition {command.condition!r}: there are {known}"))
    else:
        column = _column(order.patient, bank, command.alarm)
        subject = f"alarm {command.alarm} of {name}"
        if column is None:
            why = TABLE[Phase.CLEAR, _EVENT[type(command)]].why
            return Obeyed(bank, None, replace(no, detail=f"{subject} {why}"))
    if isinstance(command, Shelve) and (why := _too_long(command, bank, column, order.arrival_ns)):
        return Obeyed(bank, None, replace(no, detail=f"{subject} {why}"))
    event, phase = _EVENT[type(command)], Phase(int(bank.phase[0, column]))
    if event == Event.CLIMBS and TABLE[phase, event].change and not may_climb(bank, column):
        return Obeyed(bank, None, replace(no, detail=f"{subject} has no rung left to climb"))
    # Of an alarm that has ended more can be said, though its condition is about to come again.
    remark = (
        isinstance(command, Comment | Mark) and phase in {Phase.CLEAR, Phase.PENDING} and bank.closed[0, column] > 0
    )
    seen_as = Phase(int(bank.closed[0, column])) if remark else phase
    move = TABLE[seen_as, event]
    if move.change is None:
        done = phase == Phase.ACKNOWLEDGED and event == Event.ACKNOWLEDGE
        return Obeyed(bank, None, replace(no, done=done, detail=f"{subject} {move.why}"))
    events = np.zeros(bank.phase.shape, np.int8)
    events[0, column] = event
    at_ns = np.array([order.arrival_ns], np.int64)
    until_ns = order.arrival_ns + command.seconds * SECOND_NS if isinstance(command, Shelve) else 0
    mark = MARKS.index(command.was) if isinstance(command, Mark) else 0
    before = bank._replace(phase=bank.phase.copy())
    before.phase[0, column] = seen_as
    after, happened = happen(before, events, at_ns, at_ns, until_ns=until_ns, mark=mark)
    if remark:
        after.phase[0, column] = phase
    of = lore.get(RULES[column].condition, NO_LORE)
    at = (order.arrival_ns, order.arrival_ns)
    row = told(order.patient, column, 0, after, int(happened.change[0, column]), place, at)
    words = _words(order, row, of.reason)
    said = replace(row, value=of.value, u=of.u, limit=of.limit, reason=words, actor=order.actor, note=command.note)
    over = ", which is over" if event == Event.ACKNOWLEDGE and said.state == "ended" else ""
    did = f"{said.change} {said.condition} of {name}{_more(order)}{over}"
    return Obeyed(after, said, replace(no, done=True, detail=did))


def _column(patient: str, bank: AlarmBank, alarm: str) -> int | None:
    named = np.flatnonzero(bank.first_ns[0]).tolist()
    ids = {alarm_id(patient, RULES[column].condition, int(bank.first_ns[0, column])): column for column in named}
    return ids.get(alarm)


def _too_long(command: Shelve, bank: AlarmBank, column: int, arrival_ns: int) -> str:
    """Why a condition cannot be shelved for so long; empty: it can."""
    if not RULES[column].latches:
        return ""
    shelved = bank.until_ns[0, column] > 0
    since_ns = int(bank.since_ns[0, column]) if shelved else arrival_ns
    left_s = SHELF_LATCHING_S - (arrival_ns - since_ns) / SECOND_NS
    if command.seconds <= left_s:
        return ""
    more = f", of which {max(left_s, 0.0):.0f} s are left" if shelved else ""
    return f"is shelved for {SHELF_LATCHING_S} s at most{more}: {command.seconds} s were asked for"


def _words(order: Commanded, event: AlarmEvent, reason: str) -> str:
    if isinstance(order.command, Hasten):
        return f"{order.command.note or 'it is hurried'}: {reason or event.condition}"
    return f"{event.change}{_more(order)} by {order.actor}"


def _more(order: Commanded) -> str:
    match order.command:
        case Shelve(seconds=seconds):
            return f" for {seconds} s"
        case Mark(was=was):
            return f" {was}"
    return ""
