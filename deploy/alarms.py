"""`femtoward alarms`: what is alarmed now, and acknowledging it through the local door."""

import getpass
import re
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from dataflows.events import WARD, AlarmEvent, AlarmState, Answer, PatientInfo
from dataflows.store import Store
from deploy.problem import UserError
from deploy.rooms import reading
from deploy.settings import Settings
from deploy.wiring import door
from ingest.codec import encode_command
from ingest.command import Acknowledge
from ingest.door import DoorFullError, send
from ingest.profile import NAME_PATTERN
from ingest.topics import command_topic

CURRENT: tuple[AlarmState, ...] = ("active", "acknowledged")
ANSWER_WITHIN_S = 10.0
NO_ANSWER = (
    f"no answer within {ANSWER_WITHIN_S:g} s; the command is kept and will be done when ingest and the flow run again "
    "(`femtoward run`)"
)
POLL_S = 0.1
SHORTEST_PREFIX = 4


def listed(store: Store, *, every: bool) -> list[AlarmEvent]:
    """Newest event of each alarm: of those that go on, or of every one there ever was."""
    return store.alarms(None if every else CURRENT)


def line(event: AlarmEvent, patients: dict[tuple[str, str], PatientInfo]) -> str:
    """One line for people; the id comes first, to be copied."""
    info = patients.get((event.site, event.patient))
    where = f"{info.bed} ({event.patient})" if info and info.bed else event.patient
    since = datetime.fromtimestamp(event.onset_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    by = f" by {event.actor}" if event.actor else ""
    note = f" ({event.note})" if event.note else ""
    said = f"{event.priority.upper():<6} {event.condition} at {where} since {since}, {event.state}{by}{note}"
    return f"{event.id}  {said}: {event.reason}"


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


def acknowledge(settings: Settings, alarm_id: str, actor: str, note: str) -> Answer | None:
    """Acknowledge an alarm by the local door, which needs no broker; wait for the answer of the flow.

    Returns
    -------
    Answer or None
        None: nothing answered in time; the command lies in the door and will be done.

    Raises
    ------
    UserError
        There is no such alarm, or the door does not take the command.
    """
    with reading(settings) as store:
        event = find(store, alarm_id)
        before = store.last_id()
        command = uuid.uuid4().hex
        leave(door(settings), command, event, actor, note)
        return _answer(store, command, before)


def leave(folder: Path, command_id: str, event: AlarmEvent, actor: str, note: str) -> None:
    """Leave the command that acknowledges an alarm at a local door; it is on disk when this returns.

    Raises
    ------
    UserError
        The door does not take it.
    """
    command = Acknowledge(id=command_id, note=note, patient=event.patient, alarm=event.id)
    # Alarms of the whole ward are of no site; a command has to come from one.
    site = event.site if re.fullmatch(NAME_PATTERN, event.site) else WARD
    try:
        send(folder, command_topic(site, actor), encode_command(command))
    except (DoorFullError, ValueError) as error:
        raise UserError(str(error)) from error


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


def _begins(whole: str, start: str) -> bool:
    return len(start) >= SHORTEST_PREFIX and whole.startswith(start)
