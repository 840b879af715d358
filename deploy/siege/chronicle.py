"""Reads the store while it grows, as a courier does, and remembers of every row that it was there, and what it said.

What the store removes later, because a disk runs short, was there all the same: the chronicle can still be held against
the replay, and tells a row that was changed from one that was not.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from dataflows.body import encode
from dataflows.events import SECOND_NS, AlarmEvent, Bad, Removal, Row, Vitals, Wave
from dataflows.store import Store, StoreError

POLL_S: Final = 0.05
AT_ONCE: Final = 2000
TOO_LONG_S: Final = 30.0


class Place(NamedTuple):
    """Where a row is known."""

    kind: str
    site: str
    key: str


class Entry(NamedTuple):
    """What is remembered of a row."""

    revision: int
    digest: bytes
    second: int = -1  # unix time by which the store removes it; -1: it does not, for want of room


def entry_of(row: Row) -> tuple[Place, Entry]:
    """Place of a row, and its digest."""
    digest = hashlib.blake2b(encode(row), digest_size=16).digest()
    match row:
        case Vitals() | Wave():
            second = row.second
        case AlarmEvent() | Bad():
            second = row.arrival_ns // SECOND_NS
        case _:
            second = -1
    return Place(row.kind, row.site, row.key), Entry(getattr(row, "revision", 0), digest, second)


class Chronicle(threading.Thread):
    """Follows one store, in a thread.

    Parameters
    ----------
    store
        Its path; it may not be there yet.
    hear
        Is told of each row once, as soon as it was read.

    Attributes
    ----------
    rows
        What was read: of rows that are revised, the newest.
    alarms
        Every alarm event, without its strip.
    changed
        Rows that were read again with the same revision and another body.
    removals
        Every removal that was told.
    last_id
        Of the newest row that was read.
    vitals
        Seconds of patients so far.
    vitals_s
        When new ones were seen (``time.monotonic()``), ascending.
    """

    def __init__(self, store: Path, hear: Callable[[Row], None] = lambda _: None) -> None:
        super().__init__(name="chronicle", daemon=True)
        self.rows: dict[Place, Entry] = {}
        self.changed: list[Place] = []
        self.alarms: list[AlarmEvent] = []
        self.removals: list[Removal] = []
        self.last_id = 0
        self.vitals = 0
        self.vitals_s: list[float] = []
        self._store, self._hear = store, hear
        self._closing = threading.Event()
        self._trouble = ""

    def run(self) -> None:
        """Follow until closed."""
        while not self._closing.is_set():
            try:
                with Store(self._store, readonly=True) as store:
                    while self._take(store) or not self._closing.wait(POLL_S):
                        pass
            except (StoreError, sqlite3.Error) as error:  # the flow that makes it is killed again and again
                self._trouble = str(error)
                self._closing.wait(POLL_S)

    def close(self) -> None:
        """Read what is left, and end.

        Raises
        ------
        StoreError
            The store could not be read to its end.
        """
        self._closing.set()
        self.join()
        deadline = time.monotonic() + TOO_LONG_S
        while True:
            try:
                with Store(self._store, readonly=True) as store:
                    while self._take(store):
                        pass
            except (StoreError, sqlite3.Error) as error:
                if time.monotonic() > deadline:
                    raise StoreError(f"{self._store} cannot be read: {error}") from error
            else:
                return

    def _take(self, store: Store) -> bool:
        found = store.read(self.last_id, AT_ONCE)
        before_vitals = self.vitals
        for id_, row in found:
            place, entry = entry_of(row)
            before = self.rows.get(place)
            if before is not None and entry.revision <= before.revision and entry.digest != before.digest:
                self.changed.append(place)
            self.rows[place] = entry
            self.vitals += row.kind == "vitals"
            if isinstance(row, AlarmEvent):
                self.alarms.append(msgspec.structs.replace(row, strip=b""))
            elif isinstance(row, Removal):
                self.removals.append(row)
            self.last_id = id_
            self._hear(row)
        if self.vitals > before_vitals:
            self.vitals_s.append(time.monotonic())
        return bool(found)
