"""What became of each event at each receiver, with times: queued, delivered, seen, accepted; in the couriers' file.

A receipt is a fact with the time at which it came true first: told again, it stays as it is.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

from dataflows.disk_full import open_to_read

What = Literal["queued", "delivered", "seen", "accepted"]
MOST: Final = 500_000  # receipts that are kept, the newest
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS receipt (
    id INTEGER PRIMARY KEY, receiver TEXT NOT NULL, site TEXT NOT NULL, alarm TEXT NOT NULL, step INTEGER NOT NULL,
    what TEXT NOT NULL, at_ns INTEGER NOT NULL, UNIQUE (alarm, site, step, receiver, what));
"""
NOTE: Final = "INSERT OR IGNORE INTO receipt (receiver, site, alarm, step, what, at_ns) VALUES (?, ?, ?, ?, ?, ?)"
TRIM: Final = "DELETE FROM receipt WHERE id <= (SELECT max(id) FROM receipt) - ?"


class Receipt(NamedTuple):
    """One fact."""

    receiver: str  # as the settings name it
    site: str
    alarm: str
    step: int
    what: str  # a What; or "did " and what a link was used for, which it is once; or "refused ", likewise, and a number
    at_ns: int


class Receipts:
    """Notes receipts beside the couriers, from whatever process takes links.

    Parameters
    ----------
    path
        ``couriers.sqlite`` of a partition; made where there is none.

    Raises
    ------
    sqlite3.Error
        The file cannot be written, as on a full disk. What a link asks for must be done all the same: whether it was
        done before is then told by the answer to its command.
    """

    def __init__(self, path: str | Path) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(SCHEMA)
        except BaseException:
            self._db.close()
            raise

    def note(self, receipt: Receipt) -> bool:
        """Keep a receipt, on disk when this returns; False: it was there already."""
        return self._db.execute(NOTE, receipt).rowcount > 0

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        """Close at the end of a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def receipts(path: Path, alarm: str | None = None) -> list[Receipt]:
    """Every receipt, or those of the alarms whose id begins so, by event and receiver in the order of time."""
    if not path.exists():
        return []
    with closing(open_to_read(path)) as db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'receipt'").fetchone() is None:
            return []  # of an earlier version, whose couriers have not come back
        found = db.execute(
            "SELECT receiver, site, alarm, step, what, at_ns FROM receipt WHERE alarm >= ? AND alarm < ?"
            " ORDER BY site, alarm, step, receiver, at_ns, id",
            (alarm or "", f"{alarm or ''}\U0010ffff"),
        ).fetchall()
    return [Receipt(*row) for row in found]
