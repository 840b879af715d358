"""Packing: finished segments take less than a third of the disk, to the bit the same.

A packed segment is a SQLite file whose rows are groups of up to 128 records (``ingest/group.py``), so that a record is
found by its offset and a reader unpacks no more than its group. It is written aside, each group being unpacked again
and compared, and named only once it is on disk: a crash at any instant leaves the raw segment, the packed one or both,
and readers that are in the middle of the raw one read on in it.

Measured on packets of 200 simulated reference wearables (3.12 kB each, 4 a second: 24-bit magnetometers, 32-bit
photodetectors), on one core of a shared virtual machine; first, second and last row as files, the others the bare data:

====================================  =============  =======================  ===================
of a packet                           bytes on disk  GB/h at 1,000 patients   CPU, us
====================================  =============  =======================  ===================
raw, pages of 8 KiB                   4,101          59.1                     15, to write
raw, pages of 16 KiB                  3,281          47.2                     13, to write
zlib, levels 1 to 9, one by one       2,395          34.5                     71 to 89
shuffled bytes, zlib 6, groups of 64  2,436          35.1                     105
LZMA, groups of 64                    1,690          24.3                     383
as here, groups of 128                1,321          19.0                     67, and 20 to compare
====================================  =============  =======================  ===================

So 1,000 reference patients cost a third of a core, on a thread that waits after each group for half as long as the
group took; where that core is not to be had, segments stay raw for longer and `retain_bytes` holds less. To read a
packed packet costs about 20 us. What is left is noise: 11 of 24 bits. The disk is written to more than once: records
go through the write-ahead log and then into the file (twice 47 GB/h); the packed segment comes on top (19 GB/h).
"""

import os
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from zlib import crc32

from ingest.durable import replace_file, sync_folder
from ingest.group import decode_group, encode_group
from ingest.segment import RawSegment
from ingest.segments import (
    DRAFT,
    FORMAT,
    MARKER,
    JournalError,
    Record,
    packed_path,
    remove_raw,
    segment_path,
    segments,
)

GROUP_RECORDS: Final = 128
GROUP_BYTES: Final = 1 << 20  # a group that has reached this size (payloads) is closed
_SYNC_BYTES: Final = 4 << 20  # written at once: a burst would hold up the journal's own writes

_SCHEMA: Final = (
    "CREATE TABLE pack(first INTEGER PRIMARY KEY, end INTEGER NOT NULL, arrival_ns INTEGER NOT NULL,"
    " crc INTEGER NOT NULL, body BLOB NOT NULL)"
)


def unpacked(path: Path, before: int) -> list[int]:
    """First offsets of the raw segments that begin before `before`."""
    return [first for first in segments(path, packed=False) if first < before and not packed_path(path, first).exists()]


def tidy(path: Path, before: int) -> None:
    """Remove what a crash left: drafts, and raw segments of those before `before` that are packed already."""
    for draft in path.glob(f"*{DRAFT}"):
        draft.unlink(missing_ok=True)
    for first in segments(path, packed=False):
        if first < before and packed_path(path, first).exists():
            remove_raw(path, first)


def pack_segment(path: Path, first: int, end: int) -> Generator[None, None, None]:
    """Pack the finished segment of offsets `first` .. `end` - 1, a group at each step; it counts after the last one.

    Raises
    ------
    JournalError
        The segment has a hole, or a group did not come out as it went in: the raw segment stays.
    sqlite3.Error, OSError
        No room, or the disk fails: the raw segment stays.
    """
    draft = path / f"{first:020d}{DRAFT}"
    draft.unlink(missing_ok=True)
    try:
        yield from _written(path, draft, first, end)
        if (path / MARKER).read_text() != FORMAT:
            replace_file(path / MARKER, FORMAT.encode())  # a reader that knows no packed segments must not come here
        draft.rename(packed_path(path, first))
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path)
    remove_raw(path, first)


def _written(path: Path, draft: Path, first: int, end: int) -> Iterator[None]:
    with (
        closing(RawSegment(path, first)) as raw,
        closing(sqlite3.connect(draft, isolation_level=None, check_same_thread=False)) as connection,
        draft.open("rb") as file,
    ):
        # A draft that a crash cuts short is thrown away: no journal of its own, and synced by hand in pieces.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_SCHEMA)
        unsynced = 0
        while first < end:
            records = _group(raw, first)
            if not records or records[-1].offset != first + len(records) - 1 or records[-1].offset >= end:
                raise JournalError(f"segment {segment_path(path, raw.first)} has a hole at offset {first}")
            body = encode_group(records)
            if decode_group(body) != records:
                raise JournalError(
                    f"segment {segment_path(path, raw.first)} cannot be packed: the group from offset {first} on does "
                    "not come out as it went in; it stays as it is"
                )
            last = records[-1]
            row = (first, last.offset + 1, last.arrival_ns, crc32(body), body)
            connection.execute("INSERT INTO pack VALUES (?, ?, ?, ?, ?)", row)
            first = last.offset + 1
            unsynced += len(body)
            if unsynced > _SYNC_BYTES or first == end:
                os.fsync(file.fileno())
                unsynced = 0
            yield


def _group(raw: RawSegment, first: int) -> list[Record]:
    records: list[Record] = []
    size = 0
    # A few at a time: records may be large.
    while len(records) < GROUP_RECORDS and size < GROUP_BYTES:
        more = raw.read(records[-1].offset + 1 if records else first, GROUP_RECORDS // 8)
        if not more:
            break
        records += more
        size += sum(len(record.payload) for record in more)
    return records
