"""Reading a journal by offset, from any process, while its writer writes."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Self

from ingest.segments import (
    JournalError,
    JournalPrunedError,
    Record,
    check_folder,
    open_to_read,
    segment_path,
    segments,
)

_SELECT = "SELECT offset, arrival_ns, kind, topic, payload FROM record WHERE offset >= ? ORDER BY offset LIMIT ?"


class JournalReader:
    """Reader of one journal; a journal that its writer has not made yet is an empty one.

    When the reader dies, nothing happens to the journal; when the writer dies, the reader sees no new records until
    the writer is back, and never one that was not committed.

    Parameters
    ----------
    path
        Folder of the journal.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        check_folder(self.path)
        self._connection: sqlite3.Connection | None = None
        self._first = -1  # first offset of the segment that is open
        self._next = -1  # where the last read ended

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the segment that is open; the next read opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def first_offset(self) -> int:
        """Offset of the oldest record that is left; equal to `end_offset` where there is none."""
        return next(iter(segments(self.path)), 0)

    @property
    def end_offset(self) -> int:
        """Offset that the next record will get."""
        every = segments(self.path)
        if not every:
            return 0
        with contextlib.closing(open_to_read(segment_path(self.path, every[-1]))) as connection:
            return _end(connection, every[-1])

    def read(self, offset: int, limit: int) -> list[Record]:
        """Records from `offset` on, at most `limit`; empty when there are none yet.

        Raises
        ------
        JournalPrunedError
            Retention has removed `offset`; says what is the first offset left.
        """
        if offset != self._next:
            self.close()
            self._next = offset
        found: list[Record] = []
        while len(found) < limit:
            connection = self._connection or self._seek()
            if connection is None:
                break
            rows = [Record._make(row) for row in _rows(connection, _SELECT, (self._next, limit - len(found)))]
            found += rows
            self._next += len(rows)
            if len(found) < limit and not self._step_on():
                break
        return found

    def _seek(self) -> sqlite3.Connection | None:
        """Open the segment that holds the next offset, or that ends just before it."""
        every = segments(self.path)
        if not every:
            return None
        if self._next < every[0]:
            raise JournalPrunedError(self.path, self._next, every[0])
        self._first = max(first for first in every if first <= self._next)
        file = segment_path(self.path, self._first)
        try:
            connection = open_to_read(file)
            end = _end(connection, self._first)
        except sqlite3.OperationalError:
            if file.exists():
                raise
            return self._seek()  # removed since it was listed: the list is shorter now
        following = min((first for first in every if first > self._first), default=end)
        if end != following:
            connection.close()
            if not file.exists():
                return self._seek()
            raise JournalError(
                f"journal {self.path} has a hole: after offset {end - 1} comes {following}; "
                "a segment was removed or damaged by hand: put it back from a copy"
            )
        if self._next > end:
            connection.close()  # which segment an offset ahead of the end will be in is not decided yet
            return None
        self._connection = connection
        return connection

    def _step_on(self) -> bool:
        """Leave a segment that was read to its end, if it is finished; a finished one has a successor or is gone."""
        finished = self._next != self._first and segment_path(self.path, self._next).exists()
        if finished or not segment_path(self.path, self._first).exists():
            self.close()
            return True
        return False


def _rows(
    connection: sqlite3.Connection, query: str, values: tuple[int, ...]
) -> list[tuple[int, int, int, str, bytes]]:
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError:
        # The writer makes the file, then the table: between the two a segment is empty.
        if not connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'record'").fetchone()[0]:
            return []
        return connection.execute(query, values).fetchall()  # made just now; any other error is raised again


def _end(connection: sqlite3.Connection, first: int) -> int:
    """Offset after the last one in a segment that begins at `first`."""
    rows = _rows(connection, "SELECT offset FROM record WHERE offset >= ? ORDER BY offset DESC LIMIT 1", (first,))
    return rows[0][0] + 1 if rows else first
