"""One segment of a journal, raw or packed, to be read by offset."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import msgspec

from ingest.group import decode_group
from ingest.segments import JournalError, Record, open_to_read, packed_path, segment_path

_SELECT = "SELECT offset, arrival_ns, kind, topic, payload FROM record WHERE offset >= ? ORDER BY offset LIMIT ?"
_LAST = "SELECT offset, arrival_ns FROM record WHERE offset >= ? ORDER BY offset DESC LIMIT 1"
_LAST_PACK = "SELECT end, arrival_ns FROM pack ORDER BY first DESC LIMIT 1"
_PACK = "SELECT crc, body FROM pack WHERE first <= ? AND end > ? ORDER BY first DESC LIMIT 1"


class SegmentGoneError(JournalError):
    """The segment was removed since it was listed: list again."""


class Segment(Protocol):
    """What can be asked of a segment; `first` is the offset of its first record."""

    first: int

    def read(self, offset: int, limit: int) -> list[Record]:
        """Records from `offset` on, at most `limit`."""

    def end(self) -> int:
        """Offset after the last record."""

    def last_ns(self) -> int:
        """Arrival time of the last record; 0 when there is none."""

    def close(self) -> None:
        """Let go of it."""


def open_segment(path: Path, first: int) -> Segment:
    """Open a segment of the journal in `path`.

    Raises
    ------
    SegmentGoneError
        There is none, or there is none any more.
    """
    for _ in range(2):  # a raw one that is gone may have been packed just now
        if packed_path(path, first).exists():
            return PackedSegment(path, first)
        try:
            segment: Segment = RawSegment(path, first)
            segment.end()  # opens the write-ahead log too
        except sqlite3.OperationalError:
            if segment_path(path, first).exists():
                raise
        else:
            return segment
    raise SegmentGoneError(f"journal {path} has no segment {first} (any more): it was removed by retention or by hand")


class RawSegment:
    """A segment as it was written; it may still grow."""

    def __init__(self, path: Path, first: int) -> None:
        self.first = first
        self._connection = open_to_read(segment_path(path, first))

    def read(self, offset: int, limit: int) -> list[Record]:
        """Records from `offset` on, at most `limit`."""
        return [Record._make(row) for row in self._rows(_SELECT, (offset, limit))]

    def end(self) -> int:
        """Offset after the last record."""
        rows = self._rows(_LAST, (self.first,))
        return rows[0][0] + 1 if rows else self.first

    def last_ns(self) -> int:
        """Arrival time of the last record; 0 when there is none."""
        rows = self._rows(_LAST, (self.first,))
        return rows[0][1] if rows else 0

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def _rows(self, query: str, values: tuple[int, ...]) -> list[tuple[int, int, int, str, bytes]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            # The writer makes the file, then the table: between the two a segment is empty.
            made = "SELECT count(*) FROM sqlite_master WHERE name = 'record'"
            if not self._connection.execute(made).fetchone()[0]:
                return []
            return self._connection.execute(query, values).fetchall()  # made just now; any other error is raised again


class PackedSegment:
    """A segment of packed groups, which never changes; the group read last stays unpacked."""

    def __init__(self, path: Path, first: int) -> None:
        self.first = first
        self._file = packed_path(path, first)
        try:
            # Nobody writes it: without locks, other processes and a read-only folder do not matter.
            self._connection = sqlite3.connect(
                f"{self._file.resolve().as_uri()}?mode=ro&immutable=1",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.OperationalError:
            if self._file.exists():
                raise
            raise SegmentGoneError(f"{self._file} was removed") from None
        self._group: Sequence[Record] = ()

    def read(self, offset: int, limit: int) -> list[Record]:
        """Records from `offset` on, at most `limit`."""
        found: list[Record] = []
        while len(found) < limit and (group := self._group_of(offset)):
            at = offset - group[0].offset
            found += group[at : at + limit - len(found)]
            offset = found[-1].offset + 1
        return found

    def end(self) -> int:
        """Offset after the last record."""
        return self._last()[0]

    def last_ns(self) -> int:
        """Arrival time of the last record."""
        return self._last()[1]

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def _group_of(self, offset: int) -> Sequence[Record]:
        if not self._group or not self._group[0].offset <= offset <= self._group[-1].offset:
            row = self._row(_PACK, (offset, offset))
            if row is None:
                return ()
            crc, body = row
            if crc32(body) != crc:
                raise self._damaged(f"the group that holds offset {offset} has another checksum")
            try:
                self._group = decode_group(body)
            except (msgspec.DecodeError, ValueError) as error:
                raise self._damaged(str(error)) from error
        return self._group

    def _last(self) -> tuple[int, int]:
        row = self._row(_LAST_PACK, ())
        if row is None:
            raise self._damaged("it is empty")
        return int(row[0]), int(row[1])

    def _row(self, query: str, values: tuple[int, ...]) -> tuple[Any, Any] | None:
        try:
            row: tuple[Any, Any] | None = self._connection.execute(query, values).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error
        return row

    def _damaged(self, how: str) -> JournalError:
        return JournalError(f"segment {self._file} is damaged ({how}): put it back from a copy")
