"""The ingest process: everything that arrives is committed to the journal, and only then acknowledged.

When ingest dies, the broker keeps the session and commands wait in the door: nothing acknowledged is lost, and the
next start says how long it was blind. When the broker dies, ticks and commands go on. When the disk runs full, nothing
is taken in or acknowledged until there is room; the journal says that the link is down, so that no silence counts, and
ticks, commands and reports go on in what was kept back for them. When the flow dies, ingest does not notice.
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

from ingest.arrival import Standing
from ingest.beacon import Beacon
from ingest.door import Door, Letter
from ingest.inbox import Arrival, Inbox
from ingest.journal import HOUR_NS, Journal, boottime_ns
from ingest.metrics import BYTES, COMMIT_SECONDS, COMMITS, MESSAGES, OFFSET, QUEUED, REFUSALS
from ingest.mqtt import Link
from ingest.notices import LinkNotice, Report
from ingest.options import IngestOptions
from ingest.room import Room
from ingest.segments import RecordKind
from ingest.upkeep import Upkeep
from ingest.words import clock_report

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
LETTERS: Final = 256  # read from the door at one tick
DISCONNECT_S: Final = 2.5  # flow and couriers drain after us, all within 10 s
UPKEEP_S: Final = 1.0

Item = tuple[RecordKind, str, bytes]


def run_ingest(
    options: IngestOptions,
    stopping: threading.Event,
    *,
    retain_from: Callable[[], int | None] | None = None,
    beacon: Beacon | None = None,
) -> None:
    """Run ingest for one partition until `stopping` is set, then drain: commit, acknowledge, disconnect.

    Parameters
    ----------
    options
        Broker, folder and limits.
    stopping
        Ends the run, within a tick and what the drain takes (seconds).
    retain_from
        Lowest journal offset that is still needed; retention leaves it and all after it, and removes nothing while it
        gives None. Without it the limits alone count.
    beacon
        Told whether the loop goes round and data flows.

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
        floor_ns=int(options.floor_hours * HOUR_NS),
        retain_from=retain_from,
        prunes=False,
        monotonic_ns=boottime_ns,
    ) as journal:
        inbox = Inbox(options.queue_messages, options.queue_bytes, options.commit_messages, options.commit_ms / 1000)
        link = Link(options, inbox, random.Random())  # noqa: S311 - spreads reconnects, keeps no secret
        room = Room(
            Path(options.room_folder or folder),
            short_bytes=options.short_bytes,
            stop_bytes=options.stop_bytes,
            quota_bytes=options.quota_bytes,
        )
        upkeep = Upkeep(journal, room, inbox, compress=options.compress)
        Ingest(options, journal, inbox, link, Door(folder / "door"), upkeep, beacon or Beacon()).run(stopping)


class Ingest:
    """The committing side: one thread that writes groups of arrivals, letters and ticks."""

    def __init__(
        self,
        options: IngestOptions,
        journal: Journal,
        inbox: Inbox,
        link: Link,
        door: Door,
        upkeep: Upkeep,
        beacon: Beacon,
    ) -> None:
        self._tick_s = options.tick_ms / 1000
        self._journal, self._inbox, self._link, self._door = journal, inbox, link, door
        self._upkeep, self._beacon = upkeep, beacon
        self._stopping = threading.Event()
        self._messages = self._commits = 0
        self._said = LinkNotice(up=False, reason="ingest starts")  # last word of the link, written or held back
        self._held = ""  # why nothing is taken in; empty: it is
        self._ending = False  # what cannot be written at once is left to the broker and the door
        self._standing: Standing | None = None  # of the host's clock, as it was reported

    def run(self, stopping: threading.Event) -> None:
        """Run until `stopping` is set, then drain."""
        self._stopping = stopping
        log.info("ingest starts", extra={"event": "ingest-start", "offset": self._journal.next_offset})
        try:
            # Before all else: how long ingest was blind.
            self._write([(RecordKind.TICK, "", b"")])
            self._upkeep.look_at_room()
            self._upkeep.start()
            self._link.start()
            due = time.monotonic() + self._tick_s
            while not stopping.is_set():
                self._hold()
                arrivals = self._inbox.take_news(due) if self._held else self._inbox.take(due)
                if time.monotonic() < due:
                    self._commit(arrivals)
                    continue
                due = max(due + self._tick_s, time.monotonic())
                self._commit(arrivals, self._door.take(LETTERS), tick=True)
                self._tell()
                for thread in (self._link, self._upkeep):
                    if not thread.is_alive():
                        raise RuntimeError(
                            f"thread {thread.name!r} of ingest has died; its traceback is in the log: restart ingest"
                        )
        finally:
            self._drain()
            extra = {"event": "ingest-stop", "messages": self._messages, "commits": self._commits}
            log.info("ingest stops", extra=extra)

    def _hold(self) -> None:
        """Take nothing in when the disk is full, and say so as of a link that is down; or take in again."""
        if self._upkeep.full and not self._held:
            self._held = self._upkeep.why_full
            self._write([_link(LinkNotice(up=False, reason=self._held))])
        elif self._held and not self._upkeep.full:
            self._held = ""
            self._write([_link(self._said)])

    def _commit(self, arrivals: Sequence[Arrival], letters: Sequence[Letter] = (), *, tick: bool = False) -> None:
        """Write one group, then let go of what was kept for it elsewhere."""
        items = [(arrival.kind, arrival.topic, arrival.payload) for arrival in arrivals if self._to_be_said(arrival)]
        items += [(letter.kind, letter.topic, letter.payload) for letter in letters]
        if tick:  # after all that came before it
            items.append((RecordKind.TICK, "", b""))
        if items and self._write(items):
            self._link.acknowledge(arrivals)
            self._door.done(letters)
            for arrival in arrivals:
                if arrival.mark is not None:
                    arrival.mark.unlink(missing_ok=True)
            messages = sum(1 for arrival in arrivals if arrival.kind in (RecordKind.MESSAGE, RecordKind.OVERSIZE))
            self._messages += messages
            self._commits += 1
            MESSAGES.inc(messages)
            BYTES.inc(sum(len(payload) for _, _, payload in items))
        reading = self._journal.reading
        if reading.standing is not self._standing or reading.set_ns:
            self._standing = reading.standing
            report = clock_report(reading)
            log.log(logging.INFO if report.ok else logging.WARNING, report.detail, extra={"event": "clock"})
            self._inbox.tell(Arrival(RecordKind.REPORT, "", msgspec.json.encode(report)))

    def _to_be_said(self, arrival: Arrival) -> bool:
        """Whether something goes into the journal now; that the link is up waits for room."""
        if arrival.kind is not RecordKind.LINK:
            return True
        self._said = msgspec.json.decode(arrival.payload, type=LinkNotice)
        return not (self._held and self._said.up)

    def _tell(self) -> None:
        """Tell those who watch the process how it is."""
        QUEUED.set(len(self._inbox))
        OFFSET.set(self._journal.next_offset)
        self._beacon.beat()
        if self._held:
            self._beacon.not_ready(self._held)
        elif not self._link.serving:
            self._beacon.not_ready(f"no messages come from the broker: {self._said.reason}")
        else:
            self._beacon.ready()

    def _write(self, items: list[Item]) -> bool:
        """Append, again and again while the disk refuses; False when stopped before that succeeded."""
        refused = ""
        while True:
            began = time.monotonic()
            try:
                self._journal.append(items)
            except (sqlite3.OperationalError, OSError) as error:
                REFUSALS.inc()
                if not refused:
                    refused = (
                        f"journal {self._journal.path} cannot be written ({error}): "
                        "nothing is acknowledged until it can; make room on its disk"
                    )
                    log.error(refused, extra={"event": "journal-refuses"})  # noqa: TRY400 - no bug, so no traceback
                    again = f"journal {self._journal.path} can be written again"
                    items = [_report(ok=False, detail=refused), *items, _report(ok=True, detail=again)]
                self._beacon.beat()
                self._beacon.not_ready(refused)
                if self._ending or self._stopping.wait(RETRY_S):
                    return False
            else:
                COMMITS.inc()
                COMMIT_SECONDS.observe(time.monotonic() - began)
                if refused:
                    log.info("journal can be written again", extra={"event": "journal-accepts"})
                return True

    def _drain(self) -> None:
        """Take no more in; commit and acknowledge what is there, unless the disk is full; say good-bye."""
        self._ending = True
        self._inbox.close()
        self._upkeep.stop(UPKEEP_S)
        self._commit_rest()
        if self._link.is_alive() and not self._link.stop(DISCONNECT_S):
            log.warning("the broker did not let go", extra={"event": "link-hangs", "seconds": DISCONNECT_S})
        self._commit_rest()
        self._beacon.not_ready("ingest stops")

    def _commit_rest(self) -> None:
        while arrivals := self._inbox.take_news(0.0) if self._held else self._inbox.take(0.0):
            self._commit(arrivals)


def _report(*, ok: bool, detail: str) -> Item:
    return RecordKind.REPORT, "", msgspec.json.encode(Report("journal", ok, detail))


def _link(notice: LinkNotice) -> Item:
    return RecordKind.LINK, "", msgspec.json.encode(notice)
