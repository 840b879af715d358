"""The journal: the durable inbound log of one partition, and its one writer.

Every record has its arrival time, and the clock's ticks are records too, so that whoever reads the journal needs no
clock. A record is committed to disk when `Journal.append` returns. A process killed at any instant leaves a journal
that opens again and goes on at the next offset; what was not committed is not there.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec

from ingest.durable import sync_folder
from ingest.notices import Blind
from ingest.reader import JournalReader
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
    open_to_read,
    open_to_write,
    remove_segment,
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

_RECORD_BYTES = 32  # of a record beside topic and payload, about
HOUR_NS = 3600 * 10**9


class Journal:
    """The one writer of a journal.

    One thread at a time may use it. A failed append leaves nothing behind and may be repeated.

    Parameters
    ----------
    path
        Folder, made where missing; one that holds something else is refused.
    segment_bytes
        A segment that has reached this size (bytes of records) is finished.
    retain_bytes, retain_ns
        What finished segments may take together (bytes on disk), and how old their newest record may be (ns).
        Removal is by whole segments, the oldest first, and never takes the newest.
    retain_from
        Gives the lowest offset that is still needed; nothing from there on is removed, whatever the limits say.
    blind_after_ns
        A time between two records from which on ingest is held to have seen nothing (a process stopped or without
        room on its disk); the next tick says so.
    now_ns
        The clock, unix time in ns.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        segment_bytes: int = 64 << 20,
        retain_bytes: int = 16 << 30,
        retain_ns: int = 24 * HOUR_NS,
        retain_from: Callable[[], int] | None = None,
        blind_after_ns: int = 2 * 10**9,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if min(segment_bytes, retain_bytes, retain_ns, blind_after_ns) <= 0:
            raise ValueError(
                f"need {segment_bytes=}, {retain_bytes=}, {retain_ns=} and {blind_after_ns=} all greater than 0"
            )
        self.path = Path(path)
        self.segment_bytes, self.retain_bytes, self.retain_ns = segment_bytes, retain_bytes, retain_ns
        self.blind_after_ns = blind_after_ns
        self.now_ns = now_ns
        self._retain_from = retain_from
        self._lock = _claim(self.path)
        try:
            self._first = (segments(self.path) or [0])[-1]
            self._connection = open_to_write(segment_path(self.path, self._first))
            self.next_offset, self._last_ns, self._filled = self._end()
        except BaseException:
            os.close(self._lock)
            raise
        self._blind_ns = 0
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
        now, last, blind, reopened, filled = self.now_ns(), self._last_ns, self._blind_ns, self._reopened, self._filled
        rows = []
        for offset, (kind, topic, payload) in enumerate(items, self.next_offset):
            # The host's clock may go back (NTP, a leap second, by hand); the journal's may not.
            arrival_ns = max(last + 1, now)
            if reopened or (last and arrival_ns - last > self.blind_after_ns):
                blind += arrival_ns - last
            said = payload
            if kind is RecordKind.TICK and (blind or reopened):
                said, blind = msgspec.json.encode(Blind(blind)), 0
            reopened, last = False, arrival_ns
            rows.append((offset, arrival_ns, int(kind), topic, said))
            filled += len(said) + len(topic) + _RECORD_BYTES
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        offsets = range(self.next_offset, self.next_offset + len(rows))
        self.next_offset, self._last_ns, self._blind_ns = offsets.stop, last, blind
        self._reopened, self._filled = reopened, filled
        return offsets

    def prune(self) -> int:
        """Remove the finished segments that the limits no longer allow; return how many."""
        every = segments(self.path)
        sizes = [_size(segment_path(self.path, first)) for first in every]
        total = sum(sizes)
        needed = self.next_offset if self._retain_from is None else self._retain_from()
        removed = 0
        for first, end, size in zip(every, every[1:], sizes, strict=False):
            old = self._last_ns - self._arrival_before(end) > self.retain_ns
            if end > needed or not (old or total > self.retain_bytes):
                break
            remove_segment(self.path, first)
            total -= size
            removed += 1
        if removed:
            log.info("journal pruned", extra={"event": "journal-pruned", "segments": removed, "bytes": total})
        return removed

    def _rotate(self) -> None:
        """Start the next segment, then let go of the finished one; when there is no room, the finished one stays."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        following = open_to_write(segment_path(self.path, self.next_offset))
        self._connection.close()
        self._connection, self._first, self._filled = following, self.next_offset, 0
        self.prune()

    def _end(self) -> tuple[int, int, int]:
        """Next offset, last arrival time and bytes in the segment that is open."""
        row = self._connection.execute(
            "SELECT offset, arrival_ns FROM record WHERE offset = (SELECT max(offset) FROM record)"
        ).fetchone()
        if row is None:  # a new journal, or a crash came between the making of a segment and its first record
            return self._first, self._arrival_before(self._first) if self._first else 0, 0
        query = "SELECT sum(length(payload) + length(topic) + ?) FROM record"
        filled = self._connection.execute(query, (_RECORD_BYTES,)).fetchone()[0]
        return int(row[0]) + 1, int(row[1]), int(filled)

    def _arrival_before(self, offset: int) -> int:
        """Arrival time of the record before `offset`, the first of a segment; 0 when it was removed."""
        before = [first for first in segments(self.path) if first < offset]
        if not before:
            return 0
        connection = open_to_read(segment_path(self.path, before[-1]))
        try:
            row = connection.execute("SELECT arrival_ns FROM record WHERE offset = ?", (offset - 1,)).fetchone()
        finally:
            connection.close()
        if row is None:
            raise JournalError(
                f"journal {self.path} has a hole: segment {before[-1]} does not reach offset {offset - 1}; "
                "a segment was removed or damaged by hand: put it back from a copy"
            )
        return int(row[0])


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
        (path / MARKER).write_text(FORMAT)
        sync_folder(path)
        sync_folder(path.parent)
    return lock


def _size(file: Path) -> int:
    wal = file.with_name(f"{file.name}-wal")
    return file.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
