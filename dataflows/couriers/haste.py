"""Hurries an alarm up its ladder when the receivers of its rung cannot have seen it, or have not looked in time.

Undelivered to all of them for some seconds, or, where there are links to follow, unseen by all: the flow is told by the
local door, and lets the alarm climb at once. What waits for its receiver's time on purpose hurries nobody. Nor does
what waits in a crowd, or for a courier that works and is only behind: only high priorities then, a few at a time.
"""

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.couriers.webhook import WebhookOptions
from dataflows.disk_full import open_to_read
from dataflows.events import WARD, AlarmEvent, AlarmState
from dataflows.store import Store, StoreError
from ingest import door
from ingest.codec import encode_command
from ingest.command import Hasten
from ingest.profile import NAME_PATTERN
from ingest.topics import command_topic

ACTOR: Final = "couriers"  # who gives the command
LOOK_S: Final = 1.0
OPEN: Final[tuple[AlarmState, ...]] = ("active", "latched")  # nobody has answered
MANY: Final = 20  # that wait at once, and that are hurried at a look: more would bury what they are to bring help to
Leave = Callable[[AlarmEvent, int, str], None]  # tells the flow: alarm, `Standing.step`, why; OSError: not now

_DONE: Final = """
SELECT site, alarm, receiver, what, max(step) FROM receipt
WHERE alarm IN (SELECT value FROM json_each(?)) AND what != 'queued' GROUP BY site, alarm, receiver, what
"""
_WORKED: Final = """
SELECT receiver, max(at_ns) FROM (SELECT receiver, what, at_ns FROM receipt ORDER BY id DESC LIMIT 2000)
WHERE what = 'delivered' GROUP BY receiver
"""

log = logging.getLogger(__name__)


class Patience(NamedTuple):
    """How long an alarm may stay with its rung; 0: without bound."""

    undelivered_s: float = 15.0
    unseen_s: float = 0.0


class Standing(NamedTuple):
    """An alarm that nobody has answered, on one rung."""

    newest: AlarmEvent
    step: int  # that brought it there: receipts of earlier ones say nothing of it
    since_ns: int


class Known(NamedTuple):
    """What the couriers' file says at one look."""

    done: dict[tuple[str, str], list[tuple[str, str, int]]]  # by site and alarm: receiver, what, newest step
    worked_ns: dict[str, int]  # when each receiver was last delivered something, of late
    held: frozenset[tuple[str, str]]  # courier and lane


@dataclass
class Haste:
    """Watches over the alarms of one partition.

    Parameters
    ----------
    store, cursors
        Paths of the partition's store and of the couriers' file.
    webhooks
        Receivers.
    patience
        How long to wait.
    leave
        Tells the flow.
    """

    store: str
    cursors: str
    webhooks: Sequence[WebhookOptions]
    patience: Patience
    leave: Leave
    _standing: dict[tuple[str, str], Standing] = field(default_factory=dict)
    _told: set[tuple[str, str, int]] = field(default_factory=set)
    _begun_ns: int = 0
    _newest: int = 0  # row of the store, of those that `_standing` was made from

    def run(self, stopping: threading.Event, now_ns: Callable[[], int]) -> None:
        """Look until told to stop."""
        while not stopping.wait(LOOK_S):
            if not Path(self.store).exists() or not Path(self.cursors).exists():
                continue
            try:
                with Store(self.store, readonly=True) as store:
                    self.look(store, now_ns())
            except (StoreError, sqlite3.Error, OSError) as error:  # tried again in a second, of every alarm
                log.warning("cannot look whether alarms were delivered: %s", error)

    def look(self, store: Store, now_ns: int) -> None:
        """Look at every alarm that nobody has answered."""
        self._begun_ns = self._begun_ns or now_ns  # what came while the couriers were down is delivered first
        if (newest := store.newest(AlarmEvent.kind)) != self._newest:
            # What a ward's alarm sums up pages nobody by itself.
            events = [event for event in store.alarms(OPEN) if event.priority != "low" and not event.within]
            self._standing = {(event.site, event.id): self._stands(store, event) for event in events}
            self._newest = newest
        keys = {(site, id_, one.step): one for (site, id_), one in self._standing.items()}
        self._told &= keys.keys()
        soonest_ns = min((round(limit_s * 1e9) for limit_s in self.patience if limit_s > 0.0), default=0)
        late = [one for key, one in keys.items() if key not in self._told and now_ns - one.since_ns >= soonest_ns > 0]
        if not late:
            return
        known = _known(Path(self.cursors), [one.newest.id for one in late])
        waiting = [(one, *found) for one in late if (found := self._why(one, now_ns, known))]
        crowd = len(waiting) > MANY
        hurried = [one for one in waiting if one[0].newest.priority == "high" or not (crowd or one[2])]
        for one, why, _ in hurried[:MANY]:
            event = one.newest
            self.leave(event, one.step, why)
            self._told.add((event.site, event.id, one.step))
            log.warning("alarm %s of rung %d climbs: %s", event.id, event.level, why)

    def _stands(self, store: Store, event: AlarmEvent) -> Standing:
        was = self._standing.get((event.site, event.id))
        if was is not None and was.newest.step == event.step:
            return was
        opened = event
        past = store.history(event.id) if event.step else []
        for one in reversed(past):
            if one.site == event.site and one.step < event.step:
                if one.state not in OPEN or one.level != event.level:
                    break
                opened = one
        if was is not None and was.step == opened.step:
            return was._replace(newest=event)
        return Standing(event, opened.step, max(opened.arrival_ns, self._begun_ns))

    def _why(self, one: Standing, now_ns: int, known: Known) -> tuple[str, bool] | None:
        """Why an alarm has to climb, and whether its courier is only behind; None: it need not."""
        event = one.newest
        undelivered_ns, unseen_ns = (round(limit_s * 1e9) for limit_s in self.patience)
        rung = max((one.rung for one in self.webhooks if one.wants(event)), default=None)
        names = [one.name for one in self.webhooks if one.rung == rung and one.wants(event)]
        if not names:
            return None
        done = known.done.get((event.site, event.id), ())
        whats = {what for receiver, what, step in done if receiver in names and step >= one.step}
        if 0 < undelivered_ns <= now_ns - one.since_ns and not whats and not self._held(event, names, known):
            works = any(now_ns - known.worked_ns.get(name, 0) < undelivered_ns for name in names)
            return f"not delivered to {', '.join(names)} within {self.patience.undelivered_s:g} s", works
        if 0 < unseen_ns <= now_ns - one.since_ns and whats == {"delivered"}:
            return f"not seen by {', '.join(names)} within {self.patience.unseen_s:g} s", False
        return None

    def _held(self, event: AlarmEvent, names: Sequence[str], known: Known) -> bool:
        # Whoever is not on duty does not come for a high priority either.
        lane = f"{event.site}/{event.id}"
        return event.priority != "high" and any((f"webhook-{name}", lane) in known.held for name in names)


def _known(path: Path, alarms: Sequence[str]) -> Known:
    """Read what the couriers did of some alarms, once for all of them."""
    with closing(open_to_read(path)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        done: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
        if "receipt" not in tables:  # of an earlier version, whose couriers have not come back
            return Known(done, {}, frozenset())
        for site, alarm, *rest in db.execute(_DONE, (json.dumps(alarms),)):
            done.setdefault((site, alarm), []).append((rest[0], rest[1], rest[2]))
        lanes = db.execute("SELECT courier, lane FROM held").fetchall() if "held" in tables else ()
        held = frozenset((courier, lane) for courier, lane in lanes)
        return Known(done, dict(db.execute(_WORKED).fetchall()), held)


def hastens_at(folder: str) -> Leave:
    """Return what leaves the command at ingest's local door; left twice, it is done once."""

    def leave(event: AlarmEvent, step: int, why: str) -> None:
        command = Hasten(id=f"hasten-{event.id}-{event.level}-{step}", note=why, patient=event.patient, alarm=event.id)
        # Alarms of the whole ward are of no site; a command has to come from one.
        site = event.site if re.fullmatch(NAME_PATTERN, event.site) else WARD
        try:
            door.send(folder, command_topic(site, ACTOR), encode_command(command))
        except door.DoorFullError as error:
            raise OSError(str(error)) from error  # as a full disk: tried again later

    return leave
