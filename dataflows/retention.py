"""Removes old rows from a store, a few at a time, and remembers what went because room ran short.

Removing changes no row and gives no id a second time: the newest row of all always stays. How old a row is, is told by
the newest time that the store itself knows, not by a clock, so that an old journal can be replayed.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from dataflows.body import decode_named
from dataflows.departed import KINDS, Departed
from dataflows.events import OVER, SECOND_NS, AlarmEvent, BedState, DeviceStatus, Ledger, PatientInfo, Vitals, Wave
from dataflows.keep import COMMITS_MOST

AT_ONCE: Final = 500  # rows in one transaction: a put waits for a few milliseconds at most
SPARE_PAGES: Final = 16_384  # free pages that stay in the file, to be used again: 64 MB
GIVE_BACK_PAGES: Final = 512  # at once
BAD_END: Final = "bad-end"  # note: refused messages before this journal offset were removed, and are counted
_TIMED: Final = ("vitals", "device", "alarm", "bad", "answer", "removal")
_REMEMBER: Final = """
INSERT INTO removed (what, why, first, end, size, rows) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (what, why) DO UPDATE SET first = min(first, excluded.first), end = max(end, excluded.end),
    size = size + excluded.size, rows = rows + excluded.rows
"""


_PENDING: Final = "SELECT what, why, first, end, size, rows FROM removed ORDER BY what, why"
_SEALED: Final = "SELECT id, what, why, first, end, size, rows FROM sealed ORDER BY id"
_SEALS: Final = "seals"  # note: how often something was sealed


class Gone(NamedTuple):
    """What was removed and may not have been reported yet; times in unix seconds, `end` exclusive."""

    id: str  # the same whenever it is reported
    what: str
    why: str
    first: int
    end: int
    size: int  # bytes of the rows
    rows: int


class _Place(NamedTuple):
    id: int
    second: int
    site: str
    key: str
    body: bytes


class Retention:
    """Removal from one store, by the one process that writes it.

    Parameters
    ----------
    db
        The store's connection; nobody else uses it during a call.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.departed = Departed(db, AT_ONCE)
        self._walked: dict[tuple[str, str], int] = {}  # by kind and reason: looked at up to this id

    def newest_s(self) -> int | None:
        """Newest time that any row tells (unix s); None for an empty store."""
        times = []
        for kind in _TIMED:
            found = self._db.execute(
                "SELECT id, second, site, key, body FROM out WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,)
            ).fetchone()
            if found is not None:
                times.append(_time_s(kind, _Place(*found)))
        return max(times, default=None)

    def free_bytes(self) -> int:
        """Space within the file that no row takes."""
        (free,), (size,) = (self._db.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size"))
        return int(free * size)

    def excess(self, most: int) -> int:
        """Id up to which refused messages are beyond a number of them; 0: there are not so many."""
        found = self._db.execute(
            "SELECT id FROM out WHERE kind = 'bad' ORDER BY id DESC LIMIT 1 OFFSET ?", (most,)
        ).fetchone()
        return 0 if found is None else int(found[0])

    def prune(self, kind: str, before_s: float, up_to: int, why: str = "") -> int:
        """Remove some of the oldest rows of a kind, in one small transaction, and return how many.

        Parameters
        ----------
        kind
            Which rows; of alarms only those that are over, each with all of its events; of devices and patients only
            those who left.
        before_s
            Rows older than this time (unix s).
        up_to
            Rows with ids up to this one only: those that every courier has delivered.
        why
            Remember the rows as removed for this reason, until `reported`; and leave each patient's newest second.
        """
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM out").fetchone()
        up_to = min(up_to, last - 1)  # an id must never come again
        if kind in KINDS:
            left = self.departed.victims(kind, before_s, up_to)
            if left:
                with self._transaction():
                    self._db.executemany("DELETE FROM out WHERE id = ?", [(id_,) for id_ in left])
            return len(left)
        walk = (kind, why)
        after = self._walked.get(walk, 0)
        found = self._read(kind, after, up_to, 1)
        if not found or _time_s(kind, found[0]) >= before_s:
            self._walked[walk] = 0
            return 0
        found = self._read(kind, after, up_to, AT_ONCE)
        old = [place for place in found if _time_s(kind, place) < before_s]
        victims = self._over(old, before_s, up_to) if kind == AlarmEvent.kind else old
        if why and kind == Vitals.kind:
            victims = [place for place in victims if not self._is_newest(place)]
        # The end of the walk: all that follow are as young as the last one, or have to stay.
        self._walked[walk] = found[-1].id if len(found) == AT_ONCE and found[-1] in old else 0
        if victims:
            self._remove(kind, victims, why)
        return len(victims)

    def trim(self) -> None:
        """Bound the commit times."""
        self._db.execute(
            "DELETE FROM committed WHERE last_id <= (SELECT last_id FROM committed ORDER BY last_id DESC LIMIT 1"
            " OFFSET ?)",
            (COMMITS_MOST,),
        )

    def give_back(self, *, everything: bool) -> bool:
        """Give some free pages back to the file system; without `everything`, some stay to be used again.

        Returns whether there are more.
        """
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        spare = 0 if everything else SPARE_PAGES
        if free > spare:
            # A script, because `execute` ends with the first page: this pragma goes on from step to step.
            self._db.executescript(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES})")
        if everything:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return bool(free > spare + GIVE_BACK_PAGES)

    def gone(self) -> list[Gone]:
        """What was sealed, and is not known to have been reported."""
        return [Gone(*one) for one in self._db.execute(_SEALED)]

    def pending(self) -> bool:
        """Whether anything was removed because room ran short, and is not known to have been reported."""
        found = self._db.execute("SELECT EXISTS (SELECT 1 FROM removed) OR EXISTS (SELECT 1 FROM sealed)").fetchone()
        return bool(found[0])

    def seal(self) -> None:
        """Give what was removed the ids by which it is reported; what is removed from now on is another matter."""
        with self._transaction(durable=True):
            for one in self._db.execute(_PENDING).fetchall():
                seals = self.note(_SEALS) + 1
                self.note_down(_SEALS, seals)
                id_ = f"store/{seals:010d}-{hashlib.sha256(repr(one).encode()).hexdigest()[:12]}"
                self._db.execute("INSERT INTO sealed VALUES (?, ?, ?, ?, ?, ?, ?)", (id_, *one))
            self._db.execute("DELETE FROM removed")

    def reported(self, gone: Gone) -> None:
        """Forget what has been reported."""
        self._db.execute("DELETE FROM sealed WHERE id = ?", (gone.id,))

    def note(self, name: str) -> int:
        """Return a number that was noted down; 0 when it was not."""
        found = self._db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return 0 if found is None else int(found[0])

    def note_down(self, name: str, value: int) -> None:
        """Note a number for the next start."""
        self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))

    def _read(self, kind: str, after: int, up_to: int, limit: int) -> list[_Place]:
        found = self._db.execute(
            "SELECT id, second, site, key, body FROM out WHERE kind = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
            (kind, after, up_to, limit),
        )
        return [_Place(*one) for one in found]

    def _over(self, events: list[_Place], before_s: float, up_to: int) -> list[_Place]:
        """All events of those alarms that are over, as old, and delivered."""
        victims: list[_Place] = []
        for site, alarm in dict.fromkeys((place.site, place.key.rpartition("/")[0]) for place in events):
            state = self._db.execute(
                "SELECT state FROM newest WHERE kind = 'alarm' AND subject = ? AND site = ?", (alarm, site)
            ).fetchone()
            every = [
                _Place(*one)
                for one in self._db.execute(
                    "SELECT id, second, site, key, body FROM out WHERE kind = 'alarm' AND second = 0 AND site = ?"
                    " AND key >= ? AND key < ?",
                    (site, f"{alarm}/", f"{alarm}0"),  # "0" comes after "/"
                )
            ]
            delivered = all(place.id <= up_to and _time_s("alarm", place) < before_s for place in every)
            if state is not None and state[0] in OVER and delivered:
                victims += every
        return victims

    def _is_newest(self, place: _Place) -> bool:
        patient = place.key.rpartition("/")[0]
        found = self._db.execute(
            "SELECT 1 FROM newest WHERE kind = 'vitals' AND subject = ? AND site = ? AND id = ?",
            (patient, place.site, place.id),
        )
        return found.fetchone() is not None

    def _remove(self, kind: str, victims: list[_Place], why: str) -> None:
        times = [_time_s(kind, place) for place in victims]
        with self._transaction():
            self._db.executemany("DELETE FROM out WHERE id = ?", [(place.id,) for place in victims])
            if kind in {Vitals.kind, AlarmEvent.kind, BedState.kind}:
                self._db.executemany(
                    "DELETE FROM newest WHERE kind = ? AND subject = ? AND site = ? AND id = ?",
                    [(kind, place.key.rpartition("/")[0], place.site, place.id) for place in victims],
                )
            if kind == "bad":
                self.note_down(BAD_END, max(self.note(BAD_END), *(place.second + 1 for place in victims)))
            if why:
                size = sum(len(place.body) for place in victims)
                self._db.execute(_REMEMBER, (kind, why, min(times), max(times) + 1, size, len(victims)))

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[None]:
        # A removal is not flushed to the disk: what a power cut brings back is removed again, and the next put
        # flushes it.
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself when, for instance, the disk is full
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._db.execute("PRAGMA synchronous = FULL")


def _time_s(kind: str, place: _Place) -> int:
    """Unix time of a row (s): of its second, or of its arrival."""
    if kind in {Vitals.kind, Wave.kind}:
        return place.second
    row = decode_named(kind, place.body)
    if isinstance(row, Ledger):
        return row.hour * 3600
    if isinstance(row, DeviceStatus):
        return row.last_seen_ns // SECOND_NS
    if isinstance(row, BedState):
        return row.at_ns // SECOND_NS
    if isinstance(row, (Vitals, Wave, PatientInfo)):
        raise TypeError(f"a row of kind {kind} has no time of arrival, and is not removed by age")
    return row.arrival_ns // SECOND_NS
