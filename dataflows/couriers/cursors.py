"""How far each courier has come, durable: what is settled, what has failed for how long, what was refused for good.

On a full disk couriers go on delivering: progress is kept in memory and written when there is room again. A restart in
between repeats deliveries, under the ids that they had.
"""

import logging
import sqlite3
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.couriers import receipts
from dataflows.couriers.receipts import Receipt
from dataflows.disk_full import is_full, open_to_read
from dataflows.store import Stored

log = logging.getLogger(__name__)

DEAD_MOST: Final = 100_000  # dead letters that are kept
UNWRITTEN_NS: Final = 10 * 10**9  # so much of failing may be forgotten by a kill: nothing beside a day of it
_OPENING: Final = threading.Lock()  # SQLite does not wait for whoever turns a new file's log on at the same instant
_SCHEMA: Final = (
    """
CREATE TABLE IF NOT EXISTS cursor (courier TEXT PRIMARY KEY, settled INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS courier (
    courier TEXT PRIMARY KEY, kinds TEXT NOT NULL, seen_ns INTEGER NOT NULL, doubt INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ahead (courier TEXT, id INTEGER, PRIMARY KEY (courier, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing_for (
    courier TEXT, id INTEGER, for_ns INTEGER NOT NULL, PRIMARY KEY (courier, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (courier TEXT PRIMARY KEY, ok INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead (
    id INTEGER PRIMARY KEY, courier TEXT NOT NULL, row_id INTEGER NOT NULL, kind TEXT NOT NULL, site TEXT NOT NULL,
    key TEXT NOT NULL, reason TEXT NOT NULL, at_ns INTEGER NOT NULL, UNIQUE (courier, row_id));
CREATE TABLE IF NOT EXISTS held (
    courier TEXT, lane TEXT, row_id INTEGER NOT NULL, due_ns INTEGER NOT NULL,
    PRIMARY KEY (courier, lane)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS again (courier TEXT, row_id INTEGER, PRIMARY KEY (courier, row_id)) WITHOUT ROWID;
"""
    + receipts.SCHEMA
)
_SETTLE: Final = """
INSERT INTO cursor VALUES (?, ?) ON CONFLICT (courier) DO UPDATE SET settled = max(settled, excluded.settled)
"""
_SEE: Final = """
INSERT INTO courier (courier, kinds, seen_ns) VALUES (?, ?, ?)
ON CONFLICT (courier) DO UPDATE SET kinds = excluded.kinds, seen_ns = excluded.seen_ns
"""
_DEAD: Final = """
INSERT OR IGNORE INTO dead (courier, row_id, kind, site, key, reason, at_ns) VALUES (?, ?, ?, ?, ?, ?, ?)
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


class Held(NamedTuple):
    """A row that waits for its time: the newest of its lane."""

    row_id: int
    due_ns: int  # wall clock


class Seen(NamedTuple):
    """A courier: what it carries, when it was last seen, and up to which row it needs nothing any more."""

    courier: str
    kinds: tuple[str, ...]
    seen_ns: int
    settled: int


class Cursors:
    """The couriers' file; each courier opens its own and writes only its own rows.

    Parameters
    ----------
    path
        ``couriers.sqlite`` of a partition; made where there is none.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._is_copy = False  # in memory, of a file that cannot be opened while the disk is full
        try:
            self._db = _open(self._path)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            self._db, self._is_copy = _copy(self._path), True
        self._full = False
        self._failing: dict[tuple[str, int], int] = {}
        self._unwritten: dict[tuple[str, int], int] = {}  # of that, what the file does not know of
        # What is not written down yet; empty but on a full disk.
        self._up_to: dict[str, int] = {}
        self._ahead: set[tuple[str, int]] = set()
        self._done: list[tuple[str, int]] = []
        self._letters: list[DeadLetter] = []
        self._receipts: list[Receipt] = []
        self._beside: list[tuple[str, int]] = []  # rows that came beside the cursor and are done with
        self._holds: dict[tuple[str, str], Held] = {}

    def settled(self, courier: str) -> int:
        """Every row up to this id is delivered or refused."""
        found = self._db.execute("SELECT settled FROM cursor WHERE courier = ?", (courier,)).fetchone()
        return max(0 if found is None else int(found[0]), self._up_to.get(courier, 0))

    def ahead(self, courier: str) -> set[int]:
        """Rows after `settled` that are delivered or refused already, while an older one waits for its receiver."""
        found = {id_ for (id_,) in self._db.execute("SELECT id FROM ahead WHERE courier = ?", (courier,))}
        return found | {id_ for whose, id_ in self._ahead if whose == courier}

    def settle(
        self,
        courier: str,
        rows: Sequence[Stored],
        up_to: int,
        refused: Collection[Refused],
        at_ns: int,
        *,
        told: Sequence[Receipt] = (),
        beside: bool = False,
    ) -> None:
        """Note, in one transaction, that rows are delivered or refused, and that nothing up to `up_to` is open.

        Parameters
        ----------
        courier, rows, up_to, refused, at_ns
            Whose they are, which, and when it was.
        told
            What is to be kept of those that were delivered.
        beside
            They came beside the cursor: they were held, or sent again.
        """
        ids = [(courier, row.id) for row in rows]
        if beside:
            self._beside += ids
        else:
            self._up_to[courier] = max(up_to, self._up_to.get(courier, 0))
            self._ahead = {key for key in (*self._ahead, *ids) if key[1] > self._up_to.get(key[0], 0)}
        self._done += [key for key in ids if self._failing.pop(key, None) is not None]
        for key in ids:
            self._unwritten.pop(key, None)
        self._letters += [
            DeadLetter(courier, row.id, row.row.kind, row.row.site, row.row.key, reason, at_ns)
            for row, reason in refused
        ]
        self._receipts += told
        del self._letters[:-DEAD_MOST], self._receipts[: -receipts.MOST]
        self.flush()

    def flush(self) -> None:
        """Write down what could not be written before."""
        if not self._up_to and not self._beside and not self._holds:
            return
        written = self._write(
            (_SETTLE, list(self._up_to.items())),
            ("DELETE FROM ahead WHERE courier = ? AND id <= ?", list(self._up_to.items())),
            ("INSERT OR IGNORE INTO ahead VALUES (?, ?)", list(self._ahead)),
            ("DELETE FROM failing_for WHERE courier = ? AND id = ?", self._done),
            ("DELETE FROM again WHERE courier = ? AND row_id = ?", self._beside),
            ("DELETE FROM dead WHERE courier = ? AND row_id = ?", self._beside),
            ("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", [(*key, *held) for key, held in self._holds.items()]),
            ("DELETE FROM held WHERE courier = ? AND row_id = ?", self._beside),
            (_DEAD, self._letters),
            ("DELETE FROM dead WHERE id <= (SELECT max(id) FROM dead) - ?", [(DEAD_MOST,)] if self._letters else []),
            (receipts.NOTE, self._receipts),
            (receipts.TRIM, [(receipts.MOST,)] if self._receipts else []),
        )
        if written:
            self._up_to, self._ahead, self._done, self._letters = {}, set(), [], []
            self._receipts, self._beside, self._holds = [], [], {}

    def failed(self, courier: str, row_id: int, for_ns: int) -> int:
        """Note that a row failed for so much longer, and return for how long in all (ns), before a restart included.

        Only time in which the courier tried counts: it may be away for a day, and no clock's leap gives a row up.
        """
        key = (courier, row_id)
        if key not in self._failing:
            found = self._db.execute("SELECT for_ns FROM failing_for WHERE courier = ? AND id = ?", key).fetchone()
            self._failing[key] = 0 if found is None else int(found[0])
        self._failing[key] += for_ns
        self._unwritten[key] = self._unwritten.get(key, 0) + for_ns
        if self._unwritten[key] >= UNWRITTEN_NS:
            self._write_failing()
        return self._failing[key]

    def hold(self, courier: str, lane: str, held: Held) -> None:
        """Keep a row until its time, in the place of the one that was held of its lane."""
        self._holds[courier, lane] = held
        self.flush()

    def let_go(self, courier: str, row_id: int) -> None:
        """Forget a row that is held: a newer one of its lane says all that it said."""
        self._holds = {key: held for key, held in self._holds.items() if held.row_id != row_id}
        self._beside.append((courier, row_id))
        self.flush()

    def held(self, courier: str) -> dict[str, Held]:
        """Rows that wait for their time, by lane."""
        found = self._db.execute("SELECT lane, row_id, due_ns FROM held WHERE courier = ?", (courier,))
        written = {lane: Held(row_id, due_ns) for lane, row_id, due_ns in found}
        return written | {lane: held for (whose, lane), held in self._holds.items() if whose == courier}

    def send_again(self, courier: str, row_ids: Collection[int]) -> bool:
        """Ask for rows to be delivered once more, of whatever process the courier is; False: the disk is full."""
        return self._write(("INSERT OR IGNORE INTO again VALUES (?, ?)", [(courier, row_id) for row_id in row_ids]))

    def again(self, courier: str) -> list[int]:
        """Rows that somebody asked to be delivered once more, oldest first."""
        found = self._db.execute("SELECT row_id FROM again WHERE courier = ? ORDER BY row_id", (courier,))
        return [row_id for (row_id,) in found]

    def has_told(self, receiver: str, site: str, alarm: str) -> bool:
        """Whether a receiver was ever told of an alarm."""
        found = self._db.execute(
            "SELECT 1 FROM receipt WHERE alarm = ? AND site = ? AND receiver = ? LIMIT 1", (alarm, site, receiver)
        ).fetchone()
        return found is not None or any(
            (one.receiver, one.site, one.alarm) == (receiver, site, alarm) for one in self._receipts
        )

    def see(self, courier: str, kinds: Collection[str], now_ns: int) -> None:
        """Note that a courier is there and what it carries: from now on the store holds for it what it needs."""
        self._write(
            ("INSERT OR IGNORE INTO cursor VALUES (?, 0)", [(courier,)]),
            (_SEE, [(courier, " ".join(sorted(kinds)), now_ns)]),
        )

    def doubt(self, courier: str) -> int | None:
        """Id after which a revised row may have been overtaken by an older one on its way; None: there is no doubt."""
        found = self._db.execute("SELECT doubt FROM courier WHERE courier = ?", (courier,)).fetchone()
        return None if found is None or found[0] is None else int(found[0])

    def set_doubt(self, courier: str, after: int | None) -> None:
        """Note a doubt, or that it is gone; see `carrier`."""
        self._write(("UPDATE courier SET doubt = ? WHERE courier = ?", [(after, courier)]))

    def told(self, courier: str) -> bool:
        """Whether the last report about this courier was a good one, or there was none."""
        found = self._db.execute("SELECT ok FROM told WHERE courier = ?", (courier,)).fetchone()
        return found is None or bool(found[0])

    def tell(self, courier: str, *, ok: bool) -> None:
        """Note what was reported, so that a restart neither repeats it nor forgets to take it back."""
        self._write(("INSERT OR REPLACE INTO told VALUES (?, ?)", [(courier, ok)]))

    def dead_count(self, courier: str) -> int:
        """How many rows were refused, or given up, and not sent since."""
        found = self._db.execute("SELECT count(*) FROM dead WHERE courier = ?", (courier,)).fetchone()
        return int(found[0]) + sum(letter.courier == courier for letter in self._letters)

    def dead_letters(self, courier: str | None = None) -> list[DeadLetter]:
        """Refused rows, oldest first."""
        found = self._db.execute(
            "SELECT courier, row_id, kind, site, key, reason, at_ns FROM dead"
            " WHERE coalesce(courier = ?, 1) ORDER BY id",
            (courier,),
        )
        return [DeadLetter(*letter) for letter in found]

    def close(self) -> None:
        """Write down what is left, and close the file."""
        self.flush()
        self._write_failing()
        self._db.close()

    def _write_failing(self) -> None:
        failing = [(*key, self._failing[key]) for key in self._unwritten]
        if failing and self._write(("INSERT OR REPLACE INTO failing_for VALUES (?, ?, ?)", failing)):
            self._unwritten = {}

    def _write(self, *statements: tuple[str, Sequence[Sequence[object]]]) -> bool:
        """Run statements in one transaction; False on a full disk, where nothing is written and that is no error."""
        try:
            if self._is_copy:
                copy, self._db, self._is_copy = self._db, _open(self._path), False
                copy.close()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for statement, values in statements:
                    self._db.executemany(statement, values)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            if not self._full:
                log.warning("couriers go on, but cannot write down how far they came (%s): kept in memory", error)
            self._full = True
        else:
            self._full = False
        return not self._full


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        with _OPENING:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _copy(path: Path) -> sqlite3.Connection:
    """What the file held when it was last closed: SQLite cannot share it on a full disk, but it can be read."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    if path.exists() and path.stat().st_size:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as file:
            file.backup(db)
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    return db


def seen(path: Path) -> list[Seen]:
    """Every courier that was ever there; none while there is no file."""
    if not path.exists():
        return []
    with closing(open_to_read(path)) as db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'courier'").fetchone() is None:
            return []  # of an earlier version, whose couriers have not come back
        found = db.execute(
            "SELECT courier, kinds, seen_ns, coalesce(settled, 0) FROM courier LEFT JOIN cursor USING (courier)"
        ).fetchall()
    return [Seen(courier, tuple(kinds.split()), seen_ns, settled) for courier, kinds, seen_ns, settled in found]


def needed_after(couriers: Collection[Seen], kinds: Collection[str], since_ns: int) -> Mapping[str, int]:
    """By kind, the id up to which every courier seen since a time has settled; kinds that nobody carries are left out.

    Examples
    --------
    >>> couriers = [Seen("influx", ("alarm", "vitals"), 9, 40), Seen("pager", ("alarm",), 9, 30)]
    >>> needed_after([*couriers, Seen("old", ("wave",), 1, 0)], ("alarm", "vitals", "wave"), since_ns=5)
    {'alarm': 30, 'vitals': 40}
    """
    alive = [one for one in couriers if one.seen_ns >= since_ns]
    carried = {kind: [one.settled for one in alive if kind in one.kinds] for kind in kinds}
    return {kind: min(settled) for kind, settled in carried.items() if settled}
