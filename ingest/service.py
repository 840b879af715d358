"""The ingest process: everything that arrives is committed to the journal, and only then acknowledged.

When ingest dies, the broker keeps the session and commands wait in the door: nothing acknowledged is lost, and the
next start says how long it was blind. When the broker dies, ticks and commands go on. When the disk is full, nothing is
acknowledged and reading stops until there is room. When the flow dies, ingest does not notice.
"""

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ingest.door import Door, Letter
from ingest.inbox import Arrival, Inbox
from ingest.journal import HOUR_NS, Journal
from ingest.mqtt import Link
from ingest.notices import Report
from ingest.options import IngestOptions
from ingest.segments import RecordKind

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
LETTERS: Final = 256  # read from the door at one tick
DISCONNECT_S: Final = 5.0

Item = tuple[RecordKind, str, bytes]


def run_ingest(
    options: IngestOptions, stopping: threading.Event, *, retain_from: Callable[[], int] | None = None
) -> None:
    """Run ingest for one partition until `stopping` is set, then drain: commit, acknowledge, disconnect.

    Parameters
    ----------
    options
        Broker, folder and limits.
    stopping
        Ends the run, within a tick and what the drain takes (seconds).
    retain_from
        Lowest journal offset that is still needed; retention leaves it and all after it. None: the limits alone count.

    Raises
    ------
    JournalError
        The folder is no journal, is damaged, or has another writer.
    """
    folder = Path(options.folder)
    with Journal(
        folder / "journal",
        segment_bytes=options.segment_bytes,
        retain_bytes=options.retain_bytes,
        retain_ns=int(options.retain_hours * HOUR_NS),
        retain_from=retain_from,
    ) as journal:
        inbox = Inbox(options.queue_messages, options.queue_bytes, options.commit_messages, options.commit_ms / 1000)
        link = Link(options, inbox, random.Random())  # noqa: S311 - spreads reconnects, keeps no secret
        Ingest(options, journal, inbox, link, Door(folder / "door")).run(stopping)


class Ingest:
    """The committing side: one thread that writes groups of arrivals, letters and ticks."""

    def __init__(self, options: IngestOptions, journal: Journal, inbox: Inbox, link: Link, door: Door) -> None:
        self._tick_s = options.tick_ms / 1000
        self._journal, self._inbox, self._link, self._door = journal, inbox, link, door
        self._stopping = threading.Event()
        self._messages = self._commits = 0

    def run(self, stopping: threading.Event) -> None:
        """Run until `stopping` is set, then drain."""
        self._stopping = stopping
        log.info("ingest starts", extra={"event": "ingest-start", "offset": self._journal.next_offset})
        try:
            # Before all else: how long ingest was blind.
            self._write([(RecordKind.TICK, "", b"")])
            self._link.start()
            due = time.monotonic() + self._tick_s
            while not stopping.is_set():
                arrivals = self._inbox.take(due)
                if time.monotonic() < due:
                    self._commit(arrivals)
                    continue
                due = max(due + self._tick_s, time.monotonic())
                self._commit(arrivals, self._door.take(LETTERS), tick=True)
                if not self._link.is_alive():
                    raise RuntimeError(
                        "the MQTT thread of ingest has died; its traceback is in the log: restart ingest"
                    )
        finally:
            self._drain()
            extra = {"event": "ingest-stop", "messages": self._messages, "commits": self._commits}
            log.info("ingest stops", extra=extra)

    def _commit(self, arrivals: Sequence[Arrival], letters: Sequence[Letter] = (), *, tick: bool = False) -> None:
        """Write one group, then let go of what was kept for it elsewhere."""
        items: list[Item] = [(arrival.kind, arrival.topic, arrival.payload) for arrival in arrivals]
        items += [(letter.kind, letter.topic, letter.payload) for letter in letters]
        if tick:  # after all that came before it
            items.append((RecordKind.TICK, "", b""))
        if items and self._write(items):
            self._link.acknowledge(arrivals)
            self._door.done(letters)
            self._messages += len(arrivals)
            self._commits += 1

    def _write(self, items: list[Item]) -> bool:
        """Append, again and again while the disk refuses; False when stopped before that succeeded."""
        refused = ""
        while True:
            try:
                self._journal.append(items)
            except (sqlite3.OperationalError, OSError) as error:
                if not refused:
                    refused = (
                        f"journal {self._journal.path} cannot be written ({error}): "
                        "nothing is acknowledged until it can; make room on its disk"
                    )
                    log.error(refused, extra={"event": "journal-refuses"})  # noqa: TRY400 - no bug, so no traceback
                    again = f"journal {self._journal.path} can be written again"
                    items = [_report(ok=False, detail=refused), *items, _report(ok=True, detail=again)]
                if self._stopping.wait(RETRY_S):
                    return False
            else:
                if refused:
                    log.info("journal can be written again", extra={"event": "journal-accepts"})
                return True

    def _drain(self) -> None:
        """Take no more in; commit and acknowledge what is there; say good-bye."""
        self._inbox.close()
        while arrivals := self._inbox.take(0.0):
            self._commit(arrivals)
        if self._link.is_alive() and not self._link.stop(DISCONNECT_S):
            log.warning("the broker did not let go", extra={"event": "link-hangs", "seconds": DISCONNECT_S})
        while arrivals := self._inbox.take(0.0):
            self._commit(arrivals)


def _report(*, ok: bool, detail: str) -> Item:
    return RecordKind.REPORT, "", msgspec.json.encode(Report("journal", ok, detail))
