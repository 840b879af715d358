"""How far each courier has come, durable: what is settled, what has failed since when, what was refused for good."""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from dataflows.store import Stored

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor (courier TEXT PRIMARY KEY, settled INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ahead (courier TEXT, id INTEGER, PRIMARY KEY (courier, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing (
    courier TEXT, id INTEGER, since_ns INTEGER NOT NULL, PRIMARY KEY (courier, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (courier TEXT PRIMARY KEY, ok INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead (
    id INTEGER PRIMARY KEY, courier TEXT NOT NULL, row_id INTEGER NOT NULL, kind TEXT NOT NULL, site TEXT NOT NULL,
    key TEXT NOT NULL, reason TEXT NOT NULL, at_ns INTEGER NOT NULL, UNIQUE (courier, row_id));
"""


class Refused(NamedTuple):
    """A row that its receiver will never take, and why."""

    row: Stored
    reason: str


class DeadLetter(NamedTuple):
    """A refused row, as it is kept: the row itself is in the store under (kind, site, key)."""

    courier: str
    row_id: int
    kind: str
    site: str
    key: str
    reason: str
    at_ns: int


class Cursors:
    """The couriers' file; each courier opens its own and writes only its own rows.

    Parameters
    ----------
    path
        ``couriers.sqlite`` of a partition; made where there is none.
    """

    def __init__(self, path: str | Path) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)

    def settled(self, courier: str) -> int:
        """Every row up to this id is delivered or refused."""
        found = self._db.execute("SELECT settled FROM cursor WHERE courier = ?", (courier,)).fetchone()
        return 0 if found is None else int(found[0])

    def ahead(self, courier: str) -> set[int]:
        """Rows after `settled` that are delivered or refused already, while an older one waits for its receiver."""
        return {id_ for (id_,) in self._db.execute("SELECT id FROM ahead WHERE courier = ?", (courier,))}

    def settle(
        self, courier: str, rows: Sequence[Stored], up_to: int, refused: Collection[Refused], at_ns: int
    ) -> None:
        """Note, in one transaction, that rows are delivered or refused, and that nothing up to `up_to` is open."""
        ids = [(courier, row.id) for row in rows]
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO ahead VALUES (?, ?)", [key for key in ids if key[1] > up_to])
            self._db.executemany("DELETE FROM failing WHERE courier = ? AND id = ?", ids)
            self._db.executemany(
                "INSERT OR IGNORE INTO dead (courier, row_id, kind, site, key, reason, at_ns)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(courier, row.id, row.row.kind, row.row.site, row.row.key, reason, at_ns) for row, reason in refused],
            )
            self._db.execute(
                "INSERT INTO cursor VALUES (?, ?)"
                " ON CONFLICT (courier) DO UPDATE SET settled = max(settled, excluded.settled)",
                (courier, up_to),
            )
            self._db.execute("DELETE FROM ahead WHERE courier = ? AND id <= ?", (courier, up_to))

    def failed(self, courier: str, row_id: int, at_ns: int) -> int:
        """Note that a row failed, and return when it failed first (ns), be it before a restart."""
        self._db.execute("INSERT OR IGNORE INTO failing VALUES (?, ?, ?)", (courier, row_id, at_ns))
        found = self._db.execute("SELECT since_ns FROM failing WHERE courier = ? AND id = ?", (courier, row_id))
        return int(found.fetchone()[0])

    def told(self, courier: str) -> bool:
        """Whether the last report about this courier was a good one, or there was none."""
        found = self._db.execute("SELECT ok FROM told WHERE courier = ?", (courier,)).fetchone()
        return found is None or bool(found[0])

    def tell(self, courier: str, *, ok: bool) -> None:
        """Note what was reported, so that a restart neither repeats it nor forgets to take it back."""
        self._db.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (courier, ok))

    def dead_letters(self, courier: str | None = None) -> list[DeadLetter]:
        """Refused rows, oldest first."""
        found = self._db.execute(
            "SELECT courier, row_id, kind, site, key, reason, at_ns FROM dead"
            " WHERE coalesce(courier = ?, 1) ORDER BY id",
            (courier,),
        )
        return [DeadLetter(*letter) for letter in found]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
        elif self._db.in_transaction:
            self._db.execute("ROLLBACK")
