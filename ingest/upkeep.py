"""The journal kept in shape beside the committing thread: room watched, old segments removed, finished ones packed.

Once a second it looks at the room that is left; between looks it packs, in pieces of some milliseconds with waits
between them, so that the committing thread, which it shares the interpreter with, is held up by no more than a piece.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from ingest.inbox import Arrival, Inbox
from ingest.journal import Journal
from ingest.metrics import JOURNAL_BYTES, ROOM_BYTES, ROOM_STAGE
from ingest.notices import Report
from ingest.pack import pack_segment, tidy, unpacked
from ingest.removal import carried_out, mark_path
from ingest.room import EASE, Room, Stage
from ingest.segments import JournalError, RecordKind, segment_path, segment_size, segments
from ingest.words import no_room, removed_report, room_report

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
PRUNE_S: Final = 60.0  # what is still needed changes without word: retention is tried so often at least
AGAIN_S: Final = 60.0  # to pack what could not be packed


class Upkeep(threading.Thread):
    """The thread beside the committing one; what it has to say goes through the inbox into the journal.

    Parameters
    ----------
    journal
        Whose segments are kept; it must not prune by itself.
    room
        Where they lie.
    inbox
        Takes the reports.
    compress
        Pack finished segments.
    """

    def __init__(self, journal: Journal, room: Room, inbox: Inbox, *, compress: bool = True) -> None:
        super().__init__(name="upkeep", daemon=True)
        self.stage, self.left = Stage.ROOMY, 0
        self._journal, self._room, self._inbox, self._compress = journal, room, inbox, compress
        self._stopping = threading.Event()
        self._said: Stage | None = None
        self._told: set[str] = set()  # removals
        self._first = -1  # of the journal's newest segment when it was last pruned
        self._prune_due = 0.0
        self._packing: Generator[None, None, None] | None = None
        self._packed = -1  # first offset of the segment that is being packed
        self._unfit: set[int] = set()  # segments that stay raw
        self._pack_due = 0.0

    @property
    def full(self) -> bool:
        """Whether nothing may be taken in."""
        return self.stage is Stage.FULL

    @property
    def why_full(self) -> str:
        """The same in words."""
        return no_room(self._room.folder, self.left)

    def look(self) -> None:
        """Look at the room, say what changed, and remove what must go."""
        self.look_at_room()
        if self.stage or self._journal.first != self._first or time.monotonic() >= self._prune_due:
            self._first, self._prune_due = self._journal.first, time.monotonic() + PRUNE_S
            self._prune()

    def look_at_room(self) -> None:
        """Look at the room, and say what changed, after what went before a crash and may not have been said."""
        if self._said is None:
            self._tell_removals()
        self.left = self._room.left()
        self.stage = self._room.stage(self.left, self.stage)
        ROOM_BYTES.set(self.left)
        ROOM_STAGE.set(self.stage)
        if self.stage is not self._said:
            self._said = self.stage
            self._tell(room_report(self._room.folder, self.stage, self.left))

    def run(self) -> None:
        """Look and pack until stopped."""
        failing = ""
        while not self._stopping.is_set():
            due = time.monotonic() + LOOK_S
            try:
                self.look()
                while self._compress and time.monotonic() < due and self._pack():
                    pass
                failing = ""
            except (JournalError, sqlite3.Error, OSError) as error:
                # The disk is full or fails; the committing thread finds out too, and says so. Here it is tried again.
                if str(error) != failing:
                    failing = str(error)
                    log.warning("upkeep of the journal: %s", error, extra={"event": "upkeep-fails"})
            self._stopping.wait(due - time.monotonic())
        self._drop()

    def stop(self, timeout_s: float) -> None:
        """End after the piece at hand; what was half packed is packed again after the next start."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout_s)

    def _prune(self) -> None:
        short = self._room.short_bytes + self._room.short_bytes // EASE - self.left if self.stage else 0
        pruned = self._journal.prune(max(short, 0), marking=bool(self.stage))
        if self._packing is not None and pruned.end > self._packed:
            self._drop()  # or what was removed would come back, packed
        self._tell_removals()
        JOURNAL_BYTES.set(sum(segment_size(self._journal.path, first) for first in segments(self._journal.path)))

    def _tell_removals(self) -> None:
        """Say what went for want of room; its mark goes once that is written down."""
        for removal in carried_out(self._journal.path):
            if removal.id not in self._told:
                self._told.add(removal.id)
                self._tell(removed_report(removal, self.stage), mark_path(self._journal.path, removal))

    def _pack(self) -> bool:
        """Pack one group, and wait half as long as that took; False when there is nothing to do."""
        if self.full:  # a draft needs room itself
            self._drop()
            return False
        packing = self._packing or self._begin()
        if packing is None:
            return False
        began = time.monotonic()
        try:
            if next(packing, True):
                self._packing = None
        except (JournalError, sqlite3.Error, OSError):
            self._packing, self._pack_due = None, time.monotonic() + AGAIN_S
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours in one segment must not end ingest, now and at each start
            self._leave_raw(error)
        self._stopping.wait((time.monotonic() - began) / 2)
        return not self._stopping.is_set()

    def _begin(self) -> Generator[None, None, None] | None:
        if time.monotonic() < self._pack_due:
            return None
        path, newest = self._journal.path, self._journal.first
        tidy(path, newest)
        raw = [first for first in unpacked(path, newest) if first not in self._unfit]
        if not raw:
            return None
        self._packed = raw[0]
        end = min(first for first in segments(path) if first > self._packed)
        self._packing = pack_segment(path, self._packed, end)
        return self._packing

    def _leave_raw(self, error: Exception) -> None:
        """Leave the segment at hand as it is until the next start, and say so."""
        self._packing = None
        self._unfit.add(self._packed)
        path = segment_path(self._journal.path, self._packed)
        log.error("segment %s cannot be packed", path, exc_info=error)
        detail = (
            f"segment {path} cannot be packed ({type(error).__name__}: {error}): it stays raw, and is read as it is"
        )
        self._tell(Report("pack", ok=False, detail=detail))
        self._tell(Report("pack", ok=True, detail="goes on with the segments after it"))

    def _drop(self) -> None:
        """Leave off packing; the draft goes."""
        if self._packing is not None:
            self._packing.close()
            self._packing = None

    def _tell(self, report: Report, mark: Path | None = None) -> None:
        level = logging.INFO if report.ok else logging.WARNING
        log.log(level, "%s: %s", report.reporter, report.detail, extra={"event": "report", "ok": report.ok})
        self._inbox.tell(Arrival(RecordKind.REPORT, "", msgspec.json.encode(report), mark=mark))
