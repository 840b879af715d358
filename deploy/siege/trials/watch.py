"""Reads a store beside the flow that writes it: what is new, and when it was committed."""

import sqlite3
import time
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from dataflows.events import SECOND_NS, AlarmEvent, Ledger, Row, Vitals
from dataflows.store import Store, Stored, StoreMissing

MOST: Final = 20_000  # rows at once
R = TypeVar("R", bound=Row)


class Watch:
    """New rows of one kind.

    Parameters
    ----------
    path
        The store; it need not be there yet.
    kind
        The type of row.
    """

    def __init__(self, path: Path, kind: type[Vitals] | type[AlarmEvent]) -> None:
        self._path = path
        self._kinds = (kind.kind,)
        self._store: Store | None = None
        self.last_id = 0  # of the rows read so far

    def news(self, limit: int = MOST) -> list[Stored]:
        """Rows since the last call, oldest first; none while the store is not there or is busy."""
        try:
            if self._store is None:
                self._store = Store(self._path, readonly=True)
            found = self._store.read(self.last_id, limit, self._kinds)
        except (StoreMissing, sqlite3.OperationalError):
            return []
        if found:
            self.last_id = found[-1].id
        return found

    def skip(self) -> None:
        """Pass over everything that is there now."""
        while self.news():
            pass

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()


class Freshness:
    """How far behind the newest vitals rows are.

    Parameters
    ----------
    path
        The store.
    """

    def __init__(self, path: Path) -> None:
        self.watch = Watch(path, Vitals)
        self.second: dict[str, int] = {}  # newest of each patient

    def look(self) -> list[Stored]:
        """Read on; return what is new."""
        news = self.watch.news()
        for stored in news:
            if isinstance(row := stored.row, Vitals):
                self.second[row.patient] = max(row.second, self.second.get(row.patient, 0))
        return news

    def forget(self) -> None:
        """From here on, only rows that are new count."""
        self.look()
        self.second.clear()

    def behind_s(self) -> float:
        """Age of the end of the newest second of the patient who is furthest behind; infinite: nobody is here."""
        return time.time() - 1 - min(self.second.values()) if self.second else float("inf")

    def words(self) -> str:
        """Read on, and say how things are."""
        self.look()
        if not self.second:
            return "no vitals yet"
        return f"{len(self.second)} patients, vitals {max(self.behind_s(), 0.0):.1f} s behind"

    def is_live(self, patients: int, within_s: float = 4.0) -> bool:
        """Whether so many patients have a row that is no older."""
        self.look()
        return len(self.second) >= patients and self.behind_s() <= within_s


def rows_of(path: Path, kind: type[R]) -> list[R]:
    """Every row of a kind, in the order of their ids."""
    rows: list[R] = []
    with Store(path, readonly=True) as store:
        last = 0
        while found := store.read(last, MOST, (kind.kind,)):
            last = found[-1].id
            rows += [stored.row for stored in found if isinstance(stored.row, kind)]
    return rows


def latencies_ms(path: Path, vitals: Iterable[Stored]) -> list[float]:
    """Time from the end of a row's second to the row's commit; rows whose commit is not known are left out."""
    with Store(path, readonly=True) as store:
        commits = store.committed()
    ids = [commit.last_id for commit in commits]
    found = []
    for stored in vitals:
        place = bisect_left(ids, stored.id)
        if isinstance(row := stored.row, Vitals) and place < len(ids):
            found.append((commits[place].at_ns - (row.second + 1) * SECOND_NS) / 1e6)
    return found


def unbalanced(ledger: Iterable[Ledger]) -> list[Ledger]:
    """Hours that do not add up."""
    return [row for row in ledger if row.published != row.stored + row.quarantined + row.lost]


def quantile(values: Iterable[float], q: float) -> float:
    """Quantile of some values; NaN of none.

    Examples
    --------
    >>> quantile([4.0, 1.0, 2.0, 3.0, 5.0], 0.5)
    3.0
    """
    some = list(values)
    return float(np.quantile(some, q)) if some else float("nan")
