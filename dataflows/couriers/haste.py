"""Hurries an alarm up its ladder when the receivers of its rung cannot have seen it, or have not looked in time.

Undelivered to all of them for some seconds, or, where there are links to follow, unseen by all: the flow is told by the
local door, and lets the alarm climb at once. What waits for its receiver's time on purpose hurries nobody.
"""

import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.couriers.cursors import Cursors
from dataflows.couriers.receipts import receipts
from dataflows.couriers.webhook import WebhookOptions
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
Leave = Callable[[AlarmEvent, str], None]  # tells the flow of an alarm and why; OSError: it could not now

log = logging.getLogger(__name__)


class Patience(NamedTuple):
    """How long an alarm may stay with its rung; 0: without bound."""

    undelivered_s: float = 15.0
    unseen_s: float = 0.0


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
    _since_ns: dict[tuple[str, str, int], int] = field(default_factory=dict)  # of each alarm that is open on a rung
    _told: set[tuple[str, str, int]] = field(default_factory=set)
    _begun_ns: int = 0

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
        events = {(event.site, event.id, event.level): event for event in store.alarms(OPEN) if event.priority != "low"}
        self._begun_ns = self._begun_ns or now_ns  # what came while the couriers were down is delivered first
        self._since_ns = {
            key: self._since_ns.get(key, max(event.arrival_ns, self._begun_ns)) for key, event in events.items()
        }
        self._told &= events.keys()
        for key, event in events.items():
            if key not in self._told and (why := self._why(event, now_ns - self._since_ns[key])):
                self.leave(event, why)
                self._told.add(key)
                log.warning("alarm %s of rung %d climbs: %s", event.id, event.level, why)

    def _why(self, event: AlarmEvent, age_ns: int) -> str:
        """Why an alarm has to climb; empty: it need not."""
        undelivered_ns, unseen_ns = (round(limit_s * 1e9) for limit_s in self.patience)
        late, unlooked = 0 < undelivered_ns <= age_ns, 0 < unseen_ns <= age_ns
        if not late and not unlooked:
            return ""
        rung = max((one.rung for one in self.webhooks if one.wants(event)), default=None)
        told = [one for one in self.webhooks if one.rung == rung and one.wants(event)]
        if not told:
            return ""
        whats = self._receipts(event, {one.name for one in told})
        names = ", ".join(one.name for one in told)
        if late and not whats and not self._held(event, told):
            return f"not delivered to {names} within {self.patience.undelivered_s:g} s"
        if unlooked and whats == {"delivered"}:
            return f"not seen by {names} within {self.patience.unseen_s:g} s"
        return ""

    def _receipts(self, event: AlarmEvent, names: set[str]) -> set[str]:
        found = receipts(Path(self.cursors), event.id)
        return {
            one.what
            for one in found
            if one.receiver in names and (one.site, one.alarm) == (event.site, event.id) and one.what != "queued"
        }

    def _held(self, event: AlarmEvent, told: Sequence[WebhookOptions]) -> bool:
        if event.priority == "high":  # whoever is not on duty does not come
            return False
        with closing(Cursors(self.cursors)) as cursors:
            return any(f"{event.site}/{event.id}" in cursors.held(f"webhook-{one.name}") for one in told)


def hastens_at(folder: str) -> Leave:
    """Return what leaves the command at ingest's local door; left twice, it is done once."""

    def leave(event: AlarmEvent, why: str) -> None:
        command = Hasten(id=f"hasten-{event.id}-{event.level}", note=why, patient=event.patient, alarm=event.id)
        # Alarms of the whole ward are of no site; a command has to come from one.
        site = event.site if re.fullmatch(NAME_PATTERN, event.site) else WARD
        try:
            door.send(folder, command_topic(site, ACTOR), encode_command(command))
        except door.DoorFullError as error:
            raise OSError(str(error)) from error  # as a full disk: tried again later

    return leave
