"""Telling a disk that has no room now from a file that is broken, and reading where nothing can be written."""

import errno
import sqlite3
from pathlib import Path
from typing import Final

_PRIMARY: Final = 0xFF  # an extended result code of SQLite holds the primary one in its lowest byte
# SQLite says FULL, or that reading and writing failed, or that it cannot make its files beside the database.
_CODES: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def is_full(error: BaseException) -> bool:
    """Whether an error says that nothing can be written for now.

    Examples
    --------
    >>> is_full(OSError(errno.ENOSPC, "no space left on device")), is_full(OSError(errno.EACCES, "not yours"))
    (True, False)
    """
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _CODES
    return isinstance(error, OSError) and error.errno in _ERRNOS


def is_only_full(error: BaseException) -> bool:
    """Whether nothing but room is missing: the other faults of a full disk may as well be those of a broken one."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def open_to_read(path: Path, timeout_s: float = 1.0) -> sqlite3.Connection:
    """Open a database to read, on a full disk too: there SQLite cannot make the files by which readers share it.

    Raises
    ------
    sqlite3.Error
        It cannot be read.
    """
    uri = path.resolve().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None, timeout=timeout_s)
    try:
        db.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        beside = path.with_name(f"{path.name}-wal")
        if not is_full(error) or (beside.exists() and beside.stat().st_size):
            raise
        # Closed cleanly, so that all of it lies in the one file; and who would write finds no room either.
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    return db
