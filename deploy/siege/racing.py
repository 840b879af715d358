"""A nurse in a hurry: answers alarms as they come, as they end, and afterwards, by broker and by door at once."""

import contextlib
import heapq
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dataflows.events import AlarmEvent, Row
from deploy.siege.arena import SITE
from ingest.codec import encode_command
from ingest.command import Acknowledge, AlarmCommand, Comment, Mark, Shelve, Unshelve
from ingest.door import DoorFullError, send
from ingest.profile import NAME_PATTERN
from ingest.topics import command_topic

ACTOR: Final = "nurse"
NAME: Final = re.compile(NAME_PATTERN)
LATEST_S: Final = 20.0


class Nurse(threading.Thread):
    """Answers.

    Parameters
    ----------
    say
        Publishes on a topic.
    door
        The ward's local door.
    seed
        Of what is said when and how.

    Attributes
    ----------
    said
        Commands given, those that were given twice counted once.
    """

    def __init__(self, say: Callable[[str, bytes], None], door: Path, seed: int) -> None:
        super().__init__(name="nurse", daemon=True)
        self.said = 0
        self._say, self._door = say, door
        self._rng = random.Random(seed)  # noqa: S311 - a script, no secret
        self._due: list[tuple[float, int, AlarmEvent]] = []
        self._woken = threading.Condition()
        self._closing = False

    def hear(self, row: Row) -> None:
        """Learn of a row of the store."""
        if not isinstance(row, AlarmEvent):
            return
        wait_s = None
        if row.state in {"active", "latched"} and self._rng.random() < 0.7:
            wait_s = self._rng.choice((0.0, self._rng.uniform(0.0, 2.0), self._rng.uniform(2.0, LATEST_S)))
        elif row.state == "ended" and self._rng.random() < 0.3:
            wait_s = 0.0
        if wait_s is not None:
            with self._woken:
                heapq.heappush(self._due, (time.monotonic() + wait_s, len(self._due) + self.said, row))
                self._woken.notify()

    def run(self) -> None:
        """Answer what is due."""
        while True:
            with self._woken:
                while not self._closing and (not self._due or self._due[0][0] > time.monotonic()):
                    self._woken.wait(max(self._due[0][0] - time.monotonic(), 0.0) if self._due else None)
                if self._closing:
                    return
                _, _, event = heapq.heappop(self._due)
            self._answer(event)

    def close(self) -> None:
        """Stop."""
        with self._woken:
            self._closing = True
            self._woken.notify()
        self.join()

    def _command(self, event: AlarmEvent, id_: str) -> AlarmCommand:
        head, of = {"id": id_, "note": "siege", "patient": event.patient}, {"condition": event.condition}
        chance = self._rng.random()
        if chance < 0.6:
            return Acknowledge(**head, alarm=event.id)
        if chance < 0.7:
            return Comment(**head, alarm=event.id)
        if chance < 0.8:
            return Mark(**head, alarm=event.id, was="true" if chance < 0.75 else "false")
        # Not for long: what comes true on a shelf pages nobody, and all that is scripted has to.
        return Shelve(**head, **of, seconds=self._rng.randint(1, 3)) if chance < 0.95 else Unshelve(**head, **of)

    def _answer(self, event: AlarmEvent) -> None:
        self.said += 1
        command = self._command(event, f"siege-{self.said}")
        # What concerns the ward as a whole has no site; any site may take care of it.
        site = event.site if NAME.fullmatch(event.site) else SITE
        topic, payload = command_topic(site, ACTOR), encode_command(command)
        ways = self._rng.choice(("door", "broker", "both"))
        if ways in {"broker", "both"}:
            self._say(topic, payload)
        if ways in {"door", "both"}:
            with contextlib.suppress(DoorFullError, OSError):  # a ward that is down for long, or a full disk
                send(self._door, topic, payload)
