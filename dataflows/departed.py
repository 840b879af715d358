"""Removes the rows of devices that are gone and of patients who left, some time after they did.

Such a row tells no time of its own. But ids grow: a mark, made once an hour by the time that the other rows tell, says
up to which id rows were there by then.
"""

import sqlite3
from typing import Final

from dataflows.body import decode_named
from dataflows.events import DeviceStatus, PatientInfo

HOUR_S: Final = 3600
KINDS: Final = (DeviceStatus.kind, PatientInfo.kind)
_MARK: Final = "rows-by/"  # note: the hour follows


class Departed:
    """Removal from one store, by the one process that writes it.

    Parameters
    ----------
    db
        The store's connection; nobody else uses it during a call.
    at_once
        Rows in one transaction.
    """

    def __init__(self, db: sqlite3.Connection, at_once: int) -> None:
        self._db, self._at_once = db, at_once
        self._hour = 0  # of the newest mark
        self._walked: dict[str, int] = {}  # by kind: looked at up to this id

    def mark(self, newest_s: int) -> None:
        """Note which rows are there at this time (unix s), if it is the first one in its hour."""
        hour = newest_s // HOUR_S
        if hour > self._hour:
            self._db.execute("INSERT OR IGNORE INTO note SELECT ?, coalesce(max(id), 0) FROM out", (_mark(hour),))
            self._hour = hour

    def victims(self, kind: str, before_s: float, up_to: int) -> list[int]:
        """Some ids of rows of those who left before a time (unix s) and are in none that came later.

        Parameters
        ----------
        kind
            One of `KINDS`.
        before_s
            When they left, at the latest.
        up_to
            Highest id that may go.
        """
        up_to = min(up_to, self._marked(int(before_s) // HOUR_S - 1))
        found = self._db.execute(
            "SELECT id, body FROM out WHERE kind = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
            (kind, self._walked.get(kind, 0), up_to, self._at_once),
        ).fetchall()
        self._walked[kind] = found[-1][0] if len(found) == self._at_once else 0
        return [id_ for id_, body in found if _left(kind, body)]

    def _marked(self, hour: int) -> int:
        """Id up to which rows were there by the end of an hour; 0: not known. Older marks are of no use any more."""
        found = self._db.execute(
            "SELECT name, value FROM note WHERE name >= ? AND name <= ? ORDER BY name DESC LIMIT 1",
            (_MARK, _mark(hour)),
        ).fetchone()
        if found is None:
            return 0
        self._db.execute("DELETE FROM note WHERE name >= ? AND name < ?", (_MARK, found[0]))
        return int(found[1])


def _mark(hour: int) -> str:
    return f"{_MARK}{max(hour, 0):010d}"


def _left(kind: str, body: bytes) -> bool:
    row = decode_named(kind, body)
    if isinstance(row, PatientInfo):
        return not row.admitted and not row.devices
    return isinstance(row, DeviceStatus) and row.state == "gone"
