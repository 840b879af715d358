"""`femtoward alarms`: what is alarmed now, and what people say of it, through the local door."""

import getpass
import re
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import NamedTuple

from dataflows.events import SEEN, STANDING, WARD, AlarmEvent, Answer, PatientInfo
from dataflows.rules import COLUMN
from dataflows.store import Store
from deploy.commands import leave_command
from deploy.problem import UserError
from deploy.rooms import reading
from deploy.settings import Settings
from deploy.wiring import door
from ingest.command import Command

ANSWER_WITHIN_S = 10.0
NO_ANSWER = (
    f"no answer within {ANSWER_WITHIN_S:g} s; the command is kept and will be done when ingest and the flow run again "
    "(`femtoward run`)"
)
POLL_S = 0.1
SHORTEST_PREFIX = 4


def listed(store: Store, *, every: bool) -> list[AlarmEvent]:
    """Newest event of each alarm: of those that go on, or of every one there ever was."""
    return store.alarms(None if every else STANDING)


def line(event: AlarmEvent, patients: dict[tuple[str, str], PatientInfo], answered: AlarmEvent | None = None) -> str:
    """One line for people; the id comes first, to be copied.

    Parameters
    ----------
    event
        The newest of its alarm.
    patients
        Where they lie.
    answered
        The event by which somebody acknowledged or shelved it, if the newest is another.
    """
    info = patients.get((event.site, event.patient))
    where = f"{info.bed} ({event.patient})" if info and info.bed else event.patient
    who = answered or event
    by = f" by {who.actor}" if who.actor else ""
    note = f" ({who.note})" if who.note else ""
    until = f" until {_clock(event.until_ns)}" if event.until_ns else ""
    more = [f"{event.occurrences} times"] if event.occurrences > 1 else []
    more += [f"level {event.level}"] if event.level and event.state in {"active", "latched"} else []
    more += [f"marked {event.mark}"] if event.mark else []
    said = f"{event.priority.upper():<6} {event.condition} at {where} since {_clock(event.onset_ns)}, "
    return f"{event.id}  {said}{', '.join([event.state + until + by + note, *more])}: {event.reason}"


def answered(store: Store, event: AlarmEvent) -> AlarmEvent | None:
    """Find who acknowledged or shelved an alarm of which something else was said since."""
    if event.state not in SEEN or event.change in SEEN:
        return None
    return next((one for one in reversed(store.history(event.id)) if one.change in SEEN), None)


def as_json(event: AlarmEvent) -> dict[str, object]:
    """Fields of an event but for its strip, which is for the eye."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in {"strip", "strip_scale"}}
    return {**fields, "kind": event.category}


def find(store: Store, alarm_id: str) -> AlarmEvent:
    """Newest event of the alarm with this id, or with an id that begins so.

    Raises
    ------
    UserError
        There is none, or more than one.
    """
    found = [event for event in store.alarms() if event.id == alarm_id or _begins(event.id, alarm_id)]
    if not found:
        raise UserError(f"no alarm with id {alarm_id!r}: `femtoward alarms list --all` shows every id")
    if len(found) > 1:
        raise UserError(f"{len(found)} alarms have an id that begins with {alarm_id!r}: give more of it")
    return found[0]


class Subject(NamedTuple):
    """What a command is about."""

    site: str
    patient: str
    condition: str
    alarm: str  # empty: of the condition, whether an alarm stands or not


def subject(store: Store, named: str) -> Subject:
    """Find an alarm by its id or how that begins, or a condition as ``PATIENT/CONDITION``.

    Raises
    ------
    UserError
        There is no such alarm, patient or condition, or more than one.
    """
    patient, slash, condition = named.partition("/")
    if not slash:
        event = find(store, named)
        return Subject(event.site, event.patient, event.condition, event.id)
    sites = [site for site, name in store.patients() if name == patient] or (["*"] if patient == WARD else [])
    if len(sites) != 1:
        raise UserError(f"{len(sites) or 'no'} patients are called {patient!r}: name one of `femtoward alarms list`")
    if condition not in COLUMN:
        raise UserError(f"no condition {condition!r}: there are {', '.join(sorted(COLUMN))}")
    return Subject(sites[0], patient, condition, "")


def give(settings: Settings, site: str, actor: str, command: Command) -> Answer | None:
    """Give a command by the local door, which needs no broker; wait for the answer of the flow.

    Returns
    -------
    Answer or None
        None: nothing answered in time; the command lies in the door and will be done.

    Raises
    ------
    UserError
        The door does not take the command.
    """
    with reading(settings) as store:
        before = store.last_id()
        leave_command(door(settings), site, actor, command)
        return _answer(store, command.id, before)


def new_id() -> str:
    """Id of a command that nobody has given before."""
    return uuid.uuid4().hex


def whoami() -> str:
    """Name of the user, as far as a topic can hold it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        name = ""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64] or "local"


def _answer(store: Store, command: str, after: int) -> Answer | None:
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while True:
        for stored in store.read(after, 1000, ("answer",)):
            after = stored.id
            if isinstance(stored.row, Answer) and stored.row.command == command:
                return stored.row
        if time.monotonic() >= deadline:
            return None
        threading.Event().wait(POLL_S)  # another process writes: there is nothing to be woken by


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _begins(whole: str, start: str) -> bool:
    return len(start) >= SHORTEST_PREFIX and whole.startswith(start)
