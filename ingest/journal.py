"""The journal: the durable inbound log of one partition, and its one writer.

Every record has its arrival time (``ingest/arrival.py``), and the clock's ticks are records too, so that whoever reads
the journal needs no clock. A record is committed to disk when `Journal.append` returns. A process killed at any
instant leaves a journal that opens again and goes on at the next offset; what was not committed is not there.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from ingest.arrival import ArrivalState, Reading, Standing, read_clock
from ingest.durable import replace_file, sync_folder
from ingest.notices import Blind
from ingest.reader import JournalReader
from ingest.retention import Limits, Pruned, prune
from ingest.segment import open_segment
from ingest.segments import (
    FORMAT,
    LOCK,
    MARKER,
    JournalBusyError,
    JournalError,
    JournalPrunedError,
    NotAJournalError,
    Record,
    RecordKind,
    check_folder,
    open_to_write,
    segment_path,
    segments,
)

__all__ = [
    "Journal",
    "JournalBusyError",
    "JournalError",
    "JournalPrunedError",
    "JournalReader",
    "NotAJournalError",
    "Record",
    "RecordKind",
]

log = logging.getLogger(__name__)

_RECORD_BYTES: Final = 32  # of a record beside topic and payload, about
_COLUMNS: Final = 5
_INSERT: Final = "INSERT INTO record VALUES (?, ?, ?, ?, ?)"
_BULKS: Final = {rows: _INSERT + ", (?, ?, ?, ?, ?)" * (rows - 1) for rows in (256, 64, 16, 4, 1)}
HOUR_NS: Final = 3600 * 10**9


class Journal:
    """The one writer of a journal.

    One thread at a time may use it, except that `prune` may be called from another. A failed append leaves nothing
    behind and may be repeated.

    Parameters
    ----------
    path
        Folder, made where missing; one that holds something else is refused.
    segment_bytes
        A segment that has reached this size (bytes of records) is finished.
    retain_bytes, retain_ns
        What finished segments may take together (bytes on disk), and how old their newest record may be (ns).
        Removal is by whole segments, the oldest first, and never takes the newest.
    floor_ns
        Younger records stay, whatever these limits say (ns), while there is room.
    retain_from
        Gives the lowest offset that is still needed; nothing from there on is removed, whatever the limits say, and
        nothing at all when it gives None (not known). Without it the limits alone count.
    prunes
        Prune at the end of each segment; False: somebody else calls `prune`.
    blind_after_ns
        A time between two records from which on ingest is held to have seen nothing (a process stopped or without
        room on its disk); the next tick says so.
    now_ns
        The host's clock, unix time in ns.
    monotonic_ns
        A clock that nobody sets and that counts the host's sleep, to tell one that was set from time gone by (ns):
        `boottime_ns`. None: `now_ns` is held to go evenly.
    """

    def __init__(  # noqa: PLR0913 - limits and clocks of one file, each with its default
        self,
        path: Path | str,
        *,
        segment_bytes: int = 64 << 20,
        retain_bytes: int = 16 << 30,
        retain_ns: int = 24 * HOUR_NS,
        floor_ns: int = 0,
        retain_from: Callable[[], int | None] | None = None,
        prunes: bool = True,
        blind_after_ns: int = 2 * 10**9,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] | None = None,
    ) -> None:
        if min(segment_bytes, blind_after_ns) <= 0:
            raise ValueError(f"need {segment_bytes=} and {blind_after_ns=} greater than 0")
        self.path = Path(path)
        self.segment_bytes, self.limits = segment_bytes, Limits(retain_bytes, retain_ns, floor_ns)
        self.blind_after_ns = blind_after_ns
        self.now_ns, self.monotonic_ns = now_ns, monotonic_ns
        self._retain_from, self._prunes = retain_from, prunes
        self._lock = _claim(self.path)
        try:
            self.first = (segments(self.path) or [0])[-1]  # offset of the first record of the segment that grows
            self._connection = open_to_write(segment_path(self.path, self.first))
            self.next_offset, self._last_ns, self._filled = self._end()
        except BaseException:
            os.close(self._lock)
            raise
        self._clock = ArrivalState(self._last_ns)
        self.reading = Reading(self._last_ns, 0, Standing.EVEN, 0)  # of the clock, at the newest record
        self._blind = Blind()  # what the next tick has to say
        self._reopened = self.next_offset > 0

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the journal; another writer may open it."""
        self._connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, items: Sequence[tuple[RecordKind, str, bytes]]) -> range:
        """Commit records of (kind, topic, payload) in one transaction and return their offsets.

        Raises
        ------
        sqlite3.Error, OSError
            No room, or the disk fails: nothing of `items` is in the journal, and the call may be repeated.
        """
        if self._lock < 0:
            raise JournalError(f"journal {self.path} is closed")
        if self._filled >= self.segment_bytes:
            self._rotate()
        clock, reading = self._read_clock()
        last, blind, reopened, filled = self._last_ns, self._blind, self._reopened, self._filled
        values: list[int | str | bytes] = []
        for offset, (kind, topic, payload) in enumerate(items, self.next_offset):
            arrival_ns = max(last + 1, reading.arrival_ns)
            gap_ns = arrival_ns - last
            set_ns = 0 if values else reading.set_ns
            if reopened or set_ns or (last and gap_ns > self.blind_after_ns):
                blind = Blind(blind.blind_ns + gap_ns, blind.set_ns + set_ns)
            said = payload
            if kind is RecordKind.TICK and (blind.blind_ns or reopened):
                said, blind = msgspec.json.encode(blind), Blind()
            reopened, last = False, arrival_ns
            values += (offset, arrival_ns, int(kind), topic, said)
            filled += len(said) + len(topic) + _RECORD_BYTES
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(values)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        offsets = range(self.next_offset, self.next_offset + len(items))
        self.next_offset, self._last_ns, self._blind = offsets.stop, last, blind
        self._reopened, self._filled = reopened, filled
        self._clock, self.reading = clock, reading
        return offsets

    def prune(self, spare: int = 0, *, marking: bool = False) -> Pruned:
        """Remove finished segments that the limits no longer allow.

        Parameters
        ----------
        spare
            Room is short: free so many bytes, whatever the limits and the floor say, as far as records are not needed.
        marking
            Leave a mark of what goes: see `ingest.removal`.
        """
        needed: int | None = self.next_offset
        if self._retain_from is not None:
            needed = self._retain_from()
        return prune(self.path, self.limits, newest_ns=self._last_ns, needed=needed, spare=spare, marking=marking)

    def _read_clock(self) -> tuple[ArrivalState, Reading]:
        now_ns = self.now_ns()
        return read_clock(self._clock, now_ns, now_ns if self.monotonic_ns is None else self.monotonic_ns())

    def _insert(self, values: list[int | str | bytes]) -> None:
        """Insert rows, given as their values in a row, with as few statements as can be.

        Each statement lets go of the interpreter and has to wait for it again, while other threads are busy.
        """
        at = 0
        for rows, insert in _BULKS.items():
            size = rows * _COLUMNS
            while len(values) - at >= size:
                self._connection.execute(insert, values[at : at + size])
                at += size

    def _rotate(self) -> None:
        """Start the next segment, then let go of the finished one; when there is no room, the finished one stays."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        following = open_to_write(segment_path(self.path, self.next_offset))
        self._connection.close()
        self._connection, self.first, self._filled = following, self.next_offset, 0
        if self._prunes:
            self.prune()

    def _end(self) -> tuple[int, int, int]:
        """Next offset, last arrival time and bytes in the segment that is open."""
        row = self._connection.execute(
            "SELECT offset, arrival_ns FROM record WHERE offset = (SELECT max(offset) FROM record)"
        ).fetchone()
        if row is None:  # a new journal, or a crash came between the making of a segment and its first record
            return self.first, self._arrival_before(self.first) if self.first else 0, 0
        query = "SELECT sum(length(payload) + length(topic) + ?) FROM record"
        filled = self._connection.execute(query, (_RECORD_BYTES,)).fetchone()[0]
        return int(row[0]) + 1, int(row[1]), int(filled)

    def _arrival_before(self, offset: int) -> int:
        """Arrival time of the record before `offset`, the first of a segment; 0 when it was removed."""
        before = [first for first in segments(self.path) if first < offset]
        if not before:
            return 0
        segment = open_segment(self.path, before[-1])
        try:
            end, last_ns = segment.end(), segment.last_ns()
        finally:
            segment.close()
        if end != offset:
            raise JournalError(
                f"journal {self.path} has a hole: segment {before[-1]} ends at offset {end}, and the next begins at "
                f"{offset}; a segment was removed or damaged by hand: put it back from a copy"
            )
        return last_ns


def boottime_ns() -> int:
    """Time since the host started, its sleep included (ns)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _claim(path: Path) -> int:
    """Make the folder a journal and take its lock, or say who holds it; return the lock's file descriptor."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotAJournalError(f"{path} is no journal: it is a file; name a folder") from None
    marked = check_folder(path)
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise JournalBusyError(
            f"journal {path} is being written by process {holder}, and has one writer only: "
            "stop that process, or name another folder"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    if not marked:
        replace_file(path / MARKER, FORMAT.encode())  # in one step: readers look on, and a crash may come
        sync_folder(path.parent)
    return lock
