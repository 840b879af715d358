"""Telling a disk that has no room now from a file that is broken: the first is waited for, the second is not."""

import errno
import sqlite3
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
