"""Reads what is new in a store that another process writes."""

from collections.abc import Iterator
from pathlib import Path

from dataflows.events import OVER, STANDING, Row
from dataflows.lookup import Lookup
from dataflows.store import LAST, StoreMissing

READ_AT_ONCE = 5000
FAR_BEHIND = 100_000  # rows; to fold them all would take longer than to begin anew
OVER_AT_FIRST = 200  # alarms that are over of late


class Watcher:
    """One store, read by the ids of its rows.

    Parameters
    ----------
    path
        The SQLite file; it need not be there yet.
    whole
        Read every row that is kept; else begin with how things stand: patients, their newest second, the alarms that go
        on, and the last that are over. One that falls far behind then begins anew, too.
    """

    def __init__(self, path: Path, *, whole: bool = True) -> None:
        self._path, self._whole = path, whole
        self._store: Lookup | None = None
        self._after: int | None = 0 if whole else None

    def open(self) -> bool:
        """Whether the store is there."""
        if self._store is None:
            try:
                self._store = Lookup(self._path)
            except StoreMissing:
                return False
        return True

    def rows(self) -> list[Row]:
        """Rows since the last call.

        Raises
        ------
        StoreError
            The store cannot be opened.
        sqlite3.Error
            It cannot be read.
        """
        if not self.open() or self._store is None:
            return []
        if self._after is None or (not self._whole and self._store.last_id() - self._after > FAR_BEHIND):
            self._after = self._store.last_id()  # first: what comes meanwhile is read twice, which changes nothing
            return list(_as_it_stands(self._store))
        found: list[Row] = []
        while stored := self._store.read(self._after, READ_AT_ONCE):
            self._after = stored[-1].id
            found += [one.row for one in stored]
        return found

    def close(self) -> None:
        """Let go of the store; the next look opens it again."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _as_it_stands(store: Lookup) -> Iterator[Row]:
    yield from store.patients().values()  # who has left is known before what was measured of them
    yield from store.latest_vitals().values()
    yield from store.alarms(STANDING)
    yield from (one.row for one in reversed(store.alarms_between(0, LAST, OVER_AT_FIRST, OVER, newest_first=True)))
