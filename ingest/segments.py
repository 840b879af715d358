"""The journal's format on disk: what a record is, how segments are named, opened and listed.

A journal is a folder of SQLite files ("segments"), each named by the offset of its first record, so that the order
of names is the order of records and a reader needs no index: the segment after one that ends at offset n - 1 is n.
A segment is written raw, a row for each record; once finished it may be packed (``ingest/pack.py``) into a file of the
same name and another suffix, which counts as soon as it is there, whether or not the raw one is still beside it.
"""

import contextlib
import os
import re
import sqlite3
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from ingest.durable import sync_folder

FORMAT: Final = "femtoward journal 2\n"
FORMAT_1: Final = "femtoward journal 1\n"  # the same without packed segments
MARKER: Final = "format"
LOCK: Final = "lock"
RAW: Final = ".sqlite"
PACKED: Final = ".pack"
DRAFT: Final = ".pack.tmp"  # a segment that is being packed

_NAME: Final = re.compile(rf"(\d{{20}})(?:{re.escape(RAW)}|{re.escape(PACKED)})")

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS record(offset INTEGER PRIMARY KEY, arrival_ns INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL)"
)


class RecordKind(IntEnum):
    """What a record of the journal is."""

    MESSAGE = 0  # a message as it came over MQTT
    TICK = 1  # the clock, 4 a second: empty, or notices.Blind after ingest itself saw nothing for a while
    COMMAND = 2  # a command from the local door; topic and payload as over MQTT
    LINK = 3  # notices.LinkNotice: the connection to the broker came or went, or nothing is taken in: the disk is full
    REPORT = 4  # notices.Report: what ingest, couriers and disk have to say
    OVERSIZE = 5  # notices.Oversize: what is left of a message too large to be kept; topic as it came


class Record(NamedTuple):
    """One record; offsets count 0, 1, 2, ... without holes."""

    offset: int
    arrival_ns: int  # unix time; never goes back from record to record
    kind: int  # RecordKind
    topic: str
    payload: bytes


class JournalError(Exception):
    """Something about a journal that its owner has to put right; the text says what."""


class NotAJournalError(JournalError):
    """The folder holds something else, or a journal of another format."""


class JournalBusyError(JournalError):
    """Another process writes this journal."""


class JournalPrunedError(JournalError):
    """A record was asked for that retention has removed; `first_offset` is the first that is left."""

    def __init__(self, path: Path, offset: int, first_offset: int) -> None:
        super().__init__(
            f"journal {path} no longer holds offset {offset}: retention removed all before offset {first_offset}; "
            f"start from {first_offset} (what lies between is lost to this reader), and raise the limits retain_*"
        )
        self.first_offset = first_offset


def check_folder(path: Path) -> bool:
    """Tell whether `path` holds a journal (False: nothing yet), and refuse a folder that holds something else."""
    try:
        text = (path / MARKER).read_text()
    except FileNotFoundError:
        names = sorted(file.name for file in path.iterdir()) if path.is_dir() else []
        if MARKER in names:
            return check_folder(path)  # its writer made it just now
        # A writer that was killed before the marker stood leaves its lock and a draft.
        foreign = [name for name in names if name != LOCK and not name.startswith(f".{MARKER}.")]
        if foreign:
            raise NotAJournalError(
                f"{path} is no journal: it holds {foreign[0]!r} but no file {MARKER!r}; name an empty or a new folder"
            ) from None
        return False
    except NotADirectoryError:
        raise NotAJournalError(f"{path} is no journal: it lies under a file; name a folder") from None
    if text not in {FORMAT, FORMAT_1}:
        raise NotAJournalError(
            f"{path} is a journal of another format: {text[:80]!r}, needed {FORMAT!r}; "
            "read it with the version of femtoward that wrote it"
        )
    return True


def segments(path: Path, *, packed: bool = True) -> list[int]:
    """First offsets of all segments, or only of those that lie there raw, in order; empty where there is no folder."""
    try:
        names = [file.name for file in path.iterdir()]
    except FileNotFoundError:
        return []
    found = {int(match[1]) for name in names if (packed or name.endswith(RAW)) and (match := _NAME.fullmatch(name))}
    return sorted(found)


def segment_path(path: Path, first: int) -> Path:
    """File of the raw segment whose first record has offset `first`."""
    return path / f"{first:020d}{RAW}"


def packed_path(path: Path, first: int) -> Path:
    """File of the same segment, packed."""
    return path / f"{first:020d}{PACKED}"


def exists(path: Path, first: int) -> bool:
    """Whether a segment is there, raw or packed."""
    # In this order: a segment that is being packed is there all the time.
    return segment_path(path, first).exists() or packed_path(path, first).exists()


def segment_size(path: Path, first: int) -> int:
    """What a segment takes on disk (bytes); 0 when it is gone."""
    size = 0
    for file in _files(path, first):
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def open_to_write(file: Path) -> sqlite3.Connection:
    """Open or make a segment; what a crash left of it is put right here."""
    # One thread at a time uses it, but not always the one that opened it.
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    try:
        # Packets are about 3 KiB: 5 of them fill such a page. One of 8 KiB takes 2, and a quarter of it stays empty.
        connection.execute("PRAGMA page_size=16384")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_SCHEMA)
    except sqlite3.OperationalError:  # no room, or another program holds it: may pass
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise JournalError(
            f"segment {file} is damaged ({error}): move it away, with all later ones, to go on after what is left"
        ) from error
    sync_folder(file.parent)
    return connection


def open_to_read(file: Path) -> sqlite3.Connection:
    """Open a segment for reading only, beside its writer, or in a folder that cannot be written to."""
    frozen = "" if os.access(file.parent, os.W_OK) else "&immutable=1"
    return sqlite3.connect(
        f"{file.resolve().as_uri()}?mode=ro{frozen}", uri=True, isolation_level=None, check_same_thread=False
    )


def remove_segment(path: Path, first: int) -> None:
    """Remove a segment; its name goes first, so that a crash leaves no segment without its write-ahead log."""
    for file in _files(path, first):
        file.unlink(missing_ok=True)


def remove_raw(path: Path, first: int) -> None:
    """Remove the raw segment that was packed; whoever reads it now reads on."""
    for file in _files(path, first)[1:]:
        file.unlink(missing_ok=True)


def _files(path: Path, first: int) -> tuple[Path, ...]:
    raw = segment_path(path, first)
    return packed_path(path, first), raw, raw.with_name(f"{raw.name}-wal"), raw.with_name(f"{raw.name}-shm")
