"""The store: every row that leaves the flow of one partition, durable and keyed, in one SQLite file.

One process writes, any number read while it does. A row's key is made from journal content only, so a flow that was
killed and starts again from its last snapshot puts some rows a second time: same key and same body is nothing new.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, get_args

from dataflows.body import R, decode, decode_named, encode
from dataflows.events import AlarmEvent, AlarmState, DeviceStatus, Ledger, PatientInfo, Row, Vitals, Wave

APPLICATION_ID = 0x66656D74  # "femt", in the file's header
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0

# `second` says nothing that the key does not say (0 where a kind has none): it makes rows that come together lie
# together in the index. Without it, a thousand patients' rows touch a thousand pages in every put.
_SCHEMA = """
CREATE TABLE out (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, second INTEGER NOT NULL, site TEXT NOT NULL, key TEXT NOT NULL,
    revision INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (kind, second, site, key));
CREATE INDEX out_by_kind ON out (kind, id);
CREATE TABLE newest (
    kind TEXT NOT NULL, subject TEXT NOT NULL, site TEXT NOT NULL, rank INTEGER NOT NULL, state TEXT NOT NULL,
    id INTEGER NOT NULL, PRIMARY KEY (kind, subject, site)) WITHOUT ROWID;
CREATE TABLE conflict (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, site TEXT NOT NULL, key TEXT NOT NULL, kept BLOB NOT NULL,
    refused BLOB NOT NULL, UNIQUE (kind, site, key, refused));
CREATE TABLE committed (last_id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL);
"""
_INSERT = """
INSERT INTO out (id, kind, second, site, key, revision, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, second, site, key) DO NOTHING
"""
_OF_KIND = "SELECT * FROM (SELECT id, kind, body FROM out WHERE kind = ? AND id > ? ORDER BY id LIMIT ?)"
_NEWEST = """
INSERT INTO newest (kind, subject, site, rank, state, id) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, subject, site) DO UPDATE SET rank = excluded.rank, state = excluded.state, id = excluded.id
WHERE excluded.rank > rank
"""


class StoreError(Exception):
    """The store cannot be used; the message says why and what to do."""


class StoreMissing(StoreError):
    """There is no store at this path yet: raised for readers only, who may try again later."""


class StoreUnfit(StoreError):
    """The file is no store, or one of another schema version."""


class Put(NamedTuple):
    """What became of the rows of one `Store.put`."""

    new: int
    same: int  # known already, or an older revision than the one kept
    conflicts: int  # known under the same key with another body: the first stays
    revised: int  # replaced by a higher revision


class Stored(NamedTuple):
    """A row and its place in the order of commits; a revised row has a new id."""

    id: int
    row: Row


class Commit(NamedTuple):
    """Rows up to `last_id`, from the one after the commit before, were durable at `at_ns`."""

    last_id: int
    at_ns: int


class Conflict(NamedTuple):
    """Two rows that claim one key."""

    kept: Row
    refused: Row


class Store:
    """The outbound log of one partition.

    Parameters
    ----------
    path
        The SQLite file. A writer makes it, and its folder, where there is none.
    readonly
        Open for reading beside the one writer, from any process and from several threads.
    now_ns
        Clock for the `committed` table, from which latency is read; without it no commit times are kept.

    Raises
    ------
    StoreMissing
        A reader finds no store: the flow has not begun.
    StoreUnfit
        The file is no store of this version.
    """

    def __init__(self, path: str | Path, *, readonly: bool = False, now_ns: Callable[[], int] | None = None) -> None:
        self.path = Path(path)
        self.readonly = readonly
        self._now_ns = now_ns
        self._last_commit: Commit | None = None
        self._db = _open(self.path, readonly=readonly)

    def put(self, rows: Sequence[Row]) -> Put:
        """Make rows durable: all of them or, if this raises or the process dies, none.

        Returns once the transaction is on the disk (``synchronous=FULL``).
        """
        if not rows:
            return Put(0, 0, 0, 0)
        bodies = [encode(row) for row in rows]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            before = self.last_id()
            result = self._put(before, rows, bodies)
            if self._last_commit is not None:
                self._stamp(self._last_commit)
            after = self.last_id()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself when, for instance, the disk is full
                self._db.execute("ROLLBACK")
            raise
        # The time after a commit cannot be inside of it: the next put writes it down, or close().
        self._last_commit = None if self._now_ns is None or after == before else Commit(after, self._now_ns())
        return result

    def read(self, after_id: int, limit: int, kinds: Collection[str] = ()) -> list[Stored]:
        """Rows with ``id > after_id`` in the order of their ids, at most `limit`; of `kinds`, or of every kind."""
        if not kinds:
            found = self._db.execute(
                "SELECT id, kind, body FROM out WHERE id > ? ORDER BY id LIMIT ?", (after_id, limit)
            )
            return [Stored(id_, decode_named(kind, body)) for id_, kind, body in found]
        # One index range for each kind: a reader of alarms need not walk through a day of vitals. One statement for all
        # of them: between two, a commit could come whose earlier rows would be missed.
        wanted = sorted(set(kinds))
        found = self._db.execute(
            " UNION ALL ".join([_OF_KIND] * len(wanted)) + " ORDER BY id LIMIT ?",
            [*(value for kind in wanted for value in (kind, after_id, limit)), limit],
        )
        return [Stored(id_, decode_named(kind, body)) for id_, kind, body in found]

    def last_id(self) -> int:
        """Id of the newest row; 0 when there is none. Ids that are committed later are higher."""
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM out").fetchone()
        return int(last)

    def count(self, kind: str) -> int:
        """How many rows of a kind there are."""
        return int(self._db.execute("SELECT count(*) FROM out WHERE kind = ?", (kind,)).fetchone()[0])

    def digest(self, kind: str) -> str:
        """Return the SHA-256, in hex, over (site, key, body) of every row of a kind in the order of (site, key).

        It depends on what the rows say only: not on their order, ids, grouping into puts, or commit times.
        """
        digest = hashlib.sha256()
        for site, key, body in self._db.execute(
            "SELECT site, key, body FROM out WHERE kind = ? ORDER BY site, key", (kind,)
        ):
            for part in (site.encode(), key.encode(), body):
                digest.update(len(part).to_bytes(8, "little"))
                digest.update(part)
        return digest.hexdigest()

    def latest_vitals(self) -> dict[tuple[str, str], Vitals]:
        """Newest second of every patient, by (site, patient)."""
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out USING (id) WHERE newest.kind = 'vitals'"
            " ORDER BY newest.site, newest.subject"
        )
        return {(row.site, row.patient): row for row in _decoded(Vitals, found)}

    def alarms(self, states: Collection[AlarmState] | None = None) -> list[AlarmEvent]:
        """Newest event of every alarm, or of those now in one of `states`, by (onset, id)."""
        wanted = get_args(AlarmState) if states is None else states
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out USING (id)"
            " WHERE newest.kind = 'alarm' AND instr(?, '|' || newest.state || '|')",
            (f"|{'|'.join(wanted)}|",),
        )
        return sorted(_decoded(AlarmEvent, found), key=lambda event: (event.onset_ns, event.id))

    def history(self, alarm_id: str) -> list[AlarmEvent]:
        """Every event of one alarm in the order of its steps; empty for an unknown one."""
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out ON out.kind = 'alarm' AND out.second = 0 AND out.site = newest.site"
            " AND out.key >= newest.subject || '/' AND out.key < newest.subject || '0'"  # "0" comes after "/"
            " WHERE newest.kind = 'alarm' AND newest.subject = ?",
            (alarm_id,),
        )
        return sorted(_decoded(AlarmEvent, found), key=lambda event: event.step)

    def patients(self) -> dict[tuple[str, str], PatientInfo]:
        """Every patient that was ever admitted, by (site, patient)."""
        return {(row.site, row.patient): row for row in self._all(PatientInfo)}

    def devices(self) -> dict[tuple[str, str], DeviceStatus]:
        """Every device that ever spoke, by (site, device)."""
        return {(row.site, row.device): row for row in self._all(DeviceStatus)}

    def ledger(self) -> list[Ledger]:
        """Packets by device and hour, in the order of (site, device, hour)."""
        return sorted(self._all(Ledger), key=lambda row: (row.site, row.device, row.hour))

    def conflicts(self, limit: int = 1000) -> list[Conflict]:
        """Refused rows beside the kept ones, oldest first; one that came often stands here once."""
        found = self._db.execute("SELECT kind, kept, refused FROM conflict ORDER BY id LIMIT ?", (limit,))
        return [Conflict(decode_named(kind, kept), decode_named(kind, refused)) for kind, kept, refused in found]

    def conflict_count(self) -> int:
        """How many different refused rows there are."""
        return int(self._db.execute("SELECT count(*) FROM conflict").fetchone()[0])

    def committed(self, after: int = 0) -> list[Commit]:
        """Commits whose rows end after id `after`, oldest first; the newest one comes with the put that follows it."""
        found = self._db.execute("SELECT last_id, at_ns FROM committed WHERE last_id > ? ORDER BY last_id", (after,))
        return [Commit(*commit) for commit in found]

    def close(self) -> None:
        """Write down when the last put was committed, and close."""
        if self._last_commit is not None:
            self._stamp(self._last_commit)
            self._last_commit = None
        self._db.close()

    def __enter__(self) -> Self:
        """Close at the end of a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _put(self, before: int, rows: Sequence[Row], bodies: Sequence[bytes]) -> Put:
        ids = range(before + 1, before + 1 + len(rows))
        new = same = conflicts = revised = 0
        once, entries = [], []
        for id_, row, body in zip(ids, rows, bodies, strict=True):
            if isinstance(row, (PatientInfo, DeviceStatus, Ledger)):
                kept = self._kept(row)
                if kept is None:
                    self._db.execute(_INSERT, (id_, *_place(row), row.revision, body))
                    new += 1
                elif row.revision > kept[1]:
                    self._db.execute(
                        "UPDATE out SET id = ?, revision = ?, body = ? WHERE id = ?", (id_, row.revision, body, kept[0])
                    )
                    revised += 1
                elif row.revision < kept[1] or body == kept[2]:
                    same += 1
                else:
                    self._refuse(row, kept[2], body)
                    conflicts += 1
            else:
                once.append((id_, row, body))
                entries.append((id_, *_place(row), 0, body))
        inserted = self._db.executemany(_INSERT, entries).rowcount if entries else 0
        new += inserted
        if inserted < len(entries):  # after a restart of the flow only
            for id_, row, body in once:
                kept = self._kept(row)
                if kept is not None and kept[0] != id_:
                    if kept[2] == body:
                        same += 1
                        continue
                    self._refuse(row, kept[2], body)
                    conflicts += 1
        self._db.executemany(_NEWEST, _newest(once))
        return Put(new, same, conflicts, revised)

    def _kept(self, row: Row) -> tuple[int, int, bytes] | None:
        kept: tuple[int, int, bytes] | None = self._db.execute(
            "SELECT id, revision, body FROM out WHERE kind = ? AND second = ? AND site = ? AND key = ?", _place(row)
        ).fetchone()
        return kept

    def _refuse(self, row: Row, kept: bytes, refused: bytes) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO conflict (kind, site, key, kept, refused) VALUES (?, ?, ?, ?, ?)",
            (row.kind, row.site, row.key, kept, refused),
        )

    def _stamp(self, commit: Commit) -> None:
        self._db.execute("INSERT OR IGNORE INTO committed (last_id, at_ns) VALUES (?, ?)", commit)

    def _all(self, kind: type[R]) -> Iterable[R]:
        return _decoded(kind, self._db.execute("SELECT body FROM out WHERE kind = ? ORDER BY site, key", (kind.kind,)))


def _place(row: Row) -> tuple[str, int, str, str]:
    return (row.kind, row.second if isinstance(row, (Vitals, Wave)) else 0, row.site, row.key)


def _decoded(kind: type[R], found: Iterable[tuple[bytes]]) -> list[R]:
    return [decode(kind, body) for (body,) in found]


def _newest(rows: Iterable[tuple[int, Row, bytes]]) -> list[tuple[str, str, str, int, str, int]]:
    """One entry for each patient and each alarm among new rows; the database keeps that of the highest rank."""
    newest: dict[tuple[str, str, str], tuple[int, str, int]] = {}
    for id_, row, _ in rows:
        if isinstance(row, Vitals):
            entry, subject = (row.second, "", id_), row.patient
        elif isinstance(row, AlarmEvent):
            entry, subject = (row.step, row.state, id_), row.id
        else:
            continue
        place = (row.kind, subject, row.site)
        if place not in newest or entry[0] > newest[place][0]:
            newest[place] = entry
    return [(*place, *entry) for place, entry in newest.items()]


def _open(path: Path, *, readonly: bool) -> sqlite3.Connection:
    if readonly and not path.exists():
        raise StoreMissing(f"no store at {path}: the flow makes it when it starts; start it, or check the data folder")
    if path.is_dir():
        raise StoreUnfit(f"{path} is a folder, need the file store.sqlite of a partition")
    if not readonly:
        path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=not readonly,
    )
    try:
        _check(db, path, readonly=readonly)
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreUnfit(
            f"{path} cannot be read as a store ({error}): move it away, or check the data folder"
        ) from error
    except StoreError:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, path: Path, *, readonly: bool) -> None:
    empty = _is_empty(db, path)
    if readonly:
        if empty:
            raise StoreMissing(f"{path} is still empty: the flow is about to make it; try again")
        return
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    if empty:
        db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")


def _is_empty(db: sqlite3.Connection, path: Path) -> bool:
    found = db.execute(
        "SELECT (SELECT * FROM pragma_application_id), (SELECT * FROM pragma_user_version), count(*) FROM sqlite_schema"
    ).fetchone()
    if found == (0, 0, 0):
        return True
    if found[0] != APPLICATION_ID:
        raise StoreUnfit(f"{path} is an SQLite file, but no store: move it away, or check the data folder")
    if found[1] != SCHEMA_VERSION:
        raise StoreUnfit(
            f"{path} has schema version {found[1]}, this femtoward needs {SCHEMA_VERSION}:"
            " replay the journal into a new data folder"
        )
    return False
