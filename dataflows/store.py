"""The store: every row that leaves the flow of one partition, durable and keyed, in one SQLite file.

One process writes, any number read while it does. A row's key is made from journal content only, so a flow that was
killed and starts again from its last snapshot puts some rows a second time: same key and same body is nothing new.
What is old is removed a little at a time, as `dataflows.keep` says.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, get_args

from dataflows.body import R, decode, decode_named, encode, says_same
from dataflows.events import (
    AlarmEvent,
    AlarmState,
    Bad,
    BedState,
    DeviceStatus,
    Ledger,
    PatientInfo,
    Row,
    Vitals,
    Wave,
)
from dataflows.keep import CONFLICTS_MOST
from dataflows.newest import KEEP_NEWEST, newest_of_each
from dataflows.retention import BAD_END, Retention
from dataflows.store_file import APPLICATION_ID, StoreError, StoreMissing, StoreUnfit, open_store
from dataflows.totals import Refusal, Totals

__all__ = [
    "APPLICATION_ID",
    "Commit",
    "Conflict",
    "Put",
    "Store",
    "StoreError",
    "StoreMissing",
    "StoreUnfit",
    "Stored",
]

_INSERT = """
INSERT INTO out (id, kind, second, site, key, revision, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, second, site, key) DO NOTHING
"""
_OF_KIND = "SELECT * FROM (SELECT id, kind, body FROM out WHERE kind = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?)"
# Second by second, as the index has them: a range of seconds would walk through those of every other patient.
_SECONDS = """
WITH RECURSIVE time (second) AS (SELECT ? UNION ALL SELECT second + 1 FROM time WHERE second + 1 < ?)
SELECT body FROM time CROSS JOIN out
    ON out.kind = 'vitals' AND out.second = time.second AND out.site = ? AND out.key = ? || '/' || time.second
    ORDER BY time.second
"""
LAST: Final = (1 << 63) - 1  # no id is higher
_BULK = frozenset({Vitals.kind, Wave.kind})


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
        self._db = open_store(self.path, readonly=readonly)
        self._totals = Totals(self._db)
        self.retention = Retention(self._db)

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

    def read(self, after_id: int, limit: int, kinds: Collection[str] = (), up_to: int = LAST) -> list[Stored]:
        """Rows with ``after_id < id <= up_to`` in the order of their ids, at most `limit`; of `kinds`, or of any."""
        if not kinds:
            found = self._db.execute(
                "SELECT id, kind, body FROM out WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", (after_id, up_to, limit)
            )
            return [Stored(id_, decode_named(kind, body)) for id_, kind, body in found]
        wanted = sorted(set(kinds))
        if _BULK.issubset(wanted):  # nearly every row is wanted: walk through all of them
            marks = ", ".join("?" * len(wanted))
            found = self._db.execute(
                f"SELECT id, kind, body FROM out NOT INDEXED WHERE id > ? AND id <= ? AND kind IN ({marks})"  # noqa: S608 - question marks
                " ORDER BY id LIMIT ?",
                [after_id, up_to, *wanted, limit],
            )
            return [Stored(id_, decode_named(kind, body)) for id_, kind, body in found]
        # One index range for each kind: a reader of alarms need not walk through a day of vitals. One statement for all
        # of them: between two, a commit could come whose earlier rows would be missed.
        found = self._db.execute(
            " UNION ALL ".join([_OF_KIND] * len(wanted)) + " ORDER BY id LIMIT ?",
            [*(value for kind in wanted for value in (kind, after_id, up_to, limit)), limit],
        )
        return [Stored(id_, decode_named(kind, body)) for id_, kind, body in found]

    def last_id(self) -> int:
        """Id of the newest row; 0 when there is none. Ids that are committed later are higher."""
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM out").fetchone()
        return int(last)

    def newest(self, kind: str) -> int:
        """Id of the newest row of a kind; 0 when there is none."""
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM out WHERE kind = ?", (kind,)).fetchone()
        return int(last)

    def version(self) -> int:
        """Return a number that changes when somebody else commits: cheaper to ask for than what it was."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

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

    def beds(self) -> dict[tuple[str, str], BedState]:
        """How the bed of every patient stands, by (site, patient); of those who left, that they did."""
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out USING (id) WHERE newest.kind = 'bed'"
            " ORDER BY newest.site, newest.subject"
        )
        return {(row.site, row.patient): row for row in _decoded(BedState, found)}

    def seconds(self, site: str, patient: str, first_s: int, end_s: int) -> list[Vitals]:
        """Vitals of one patient in ``[first_s, end_s)``, by second."""
        return _decoded(Vitals, self._db.execute(_SECONDS, (first_s, end_s, site, patient)))

    def alarms(self, states: Collection[AlarmState] | None = None) -> list[AlarmEvent]:
        """Newest event of every alarm, or of those now in one of `states`, by (onset, id)."""
        wanted = get_args(AlarmState) if states is None else states
        found = self._db.execute(
            "SELECT out.body FROM newest JOIN out USING (id)"
            " WHERE newest.kind = 'alarm' AND instr(?, '|' || newest.state || '|')",
            (f"|{'|'.join(wanted)}|",),
        )
        return sorted(_decoded(AlarmEvent, found), key=lambda event: (event.onset_ns, event.id))

    def newest_of(self, alarm_id: str) -> Stored | None:
        """Newest event of one alarm, with its place; None for an unknown one."""
        found = self._db.execute(
            "SELECT out.id, out.kind, out.body FROM newest JOIN out USING (id)"
            " WHERE newest.kind = 'alarm' AND newest.subject = ?",
            (alarm_id,),
        ).fetchone()
        return None if found is None else Stored(found[0], decode_named(found[1], found[2]))

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

    def refusals(self) -> list[Refusal]:
        """Messages refused since the store was made, by (site, device, reason); those whose rows are gone, too."""
        return self._totals.read()

    def waiting(self, after_id: int, kinds: Collection[str], up_to: int = LAST, limit: int = 10_000) -> int:
        """How many rows of `kinds` have ``after_id < id <= up_to``; counted up to `limit` for each kind, no further."""
        return sum(
            int(
                self._db.execute(
                    "SELECT count(*) FROM (SELECT 1 FROM out WHERE kind = ? AND id > ? AND id <= ? LIMIT ?)",
                    (kind, after_id, up_to, limit),
                ).fetchone()[0]
            )
            for kind in kinds
        )

    def conflicts(self, limit: int = 1000) -> list[Conflict]:
        """Refused rows beside the kept ones, oldest first; one that came often stands here once."""
        found = self._db.execute("SELECT kind, kept, refused FROM conflict ORDER BY id LIMIT ?", (limit,))
        return [Conflict(decode_named(kind, kept), decode_named(kind, refused)) for kind, kept, refused in found]

    def conflict_count(self) -> int:
        """How many different refused rows there are; beyond ``keep.CONFLICTS_MOST`` they are no longer kept."""
        return int(self._db.execute("SELECT count(*) FROM conflict").fetchone()[0])

    def committed(self, after: int = 0) -> list[Commit]:
        """Commits whose rows end after id `after`, oldest first; the newest one comes with the put that follows it."""
        found = self._db.execute("SELECT last_id, at_ns FROM committed WHERE last_id > ? ORDER BY last_id", (after,))
        return [Commit(*commit) for commit in found]

    def committed_by(self, at_ns: int) -> int | None:
        """Id of the newest row that was durable at a time; 0: none was, None: no commit times are kept."""
        found = self._db.execute(
            "SELECT last_id FROM committed WHERE at_ns <= ? ORDER BY last_id DESC LIMIT 1", (at_ns,)
        ).fetchone()
        if found is None and self._db.execute("SELECT 1 FROM committed LIMIT 1").fetchone() is None:
            return None
        return 0 if found is None else int(found[0])

    def close(self) -> None:
        """Write down when the last put was committed, and close."""
        last, self._last_commit = self._last_commit, None
        try:
            if last is not None:
                self._stamp(last)
        finally:
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
        became = Counter[str]()
        once: list[tuple[int, Row, bytes]] = []
        for id_, row, body in zip(range(before + 1, before + 1 + len(rows)), rows, bodies, strict=True):
            if isinstance(row, (PatientInfo, DeviceStatus, Ledger)):
                became[self._revise(id_, row, body)] += 1
            elif isinstance(row, Bad) and row.offset < self.retention.note(BAD_END):
                became["same"] += 1  # counted already, and removed since
            else:
                once.append((id_, row, body))
        became.update(self._insert(once))
        return Put(became["new"], became["same"], became["conflict"], became["revised"])

    def _revise(self, id_: int, row: PatientInfo | DeviceStatus | Ledger, body: bytes) -> str:
        """Put a row that may change, and say what became of it."""
        kept = self._kept(row)
        if kept is None:
            self._db.execute(_INSERT, (id_, *_place(row), row.revision, body))
            return "new"
        if row.revision > kept[1]:
            self._db.execute(
                "UPDATE out SET id = ?, revision = ?, body = ? WHERE id = ?", (id_, row.revision, body, kept[0])
            )
            return "revised"
        if row.revision < kept[1] or says_same(row.kind, kept[2], body):
            return "same"
        self._refuse(row, kept[2], body)
        return "conflict"

    def _insert(self, once: Sequence[tuple[int, Row, bytes]]) -> Iterator[str]:
        """Put rows that never change, and say what became of each."""
        entries = [(id_, *_place(row), 0, body) for id_, row, body in once]
        inserted = self._db.executemany(_INSERT, entries).rowcount if entries else 0
        known: set[int] = set()
        if inserted < len(entries):  # after a restart of the flow only
            for id_, row, body in once:
                kept = self._kept(row)
                if kept is not None and kept[0] != id_:
                    known.add(id_)
                    same = says_same(row.kind, kept[2], body)
                    if not same:
                        self._refuse(row, kept[2], body)
                    yield "same" if same else "conflict"
        yield from ["new"] * inserted
        self._db.executemany(KEEP_NEWEST, newest_of_each(once))
        self._totals.add(row for id_, row, _ in once if isinstance(row, Bad) and id_ not in known)

    def _kept(self, row: Row) -> tuple[int, int, bytes] | None:
        kept: tuple[int, int, bytes] | None = self._db.execute(
            "SELECT id, revision, body FROM out WHERE kind = ? AND second = ? AND site = ? AND key = ?", _place(row)
        ).fetchone()
        return kept

    def _refuse(self, row: Row, kept: bytes, refused: bytes) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO conflict (kind, site, key, kept, refused) SELECT ?, ?, ?, ?, ?"
            " WHERE (SELECT count(*) FROM conflict) < ?",
            (row.kind, row.site, row.key, kept, refused, CONFLICTS_MOST),
        )

    def _stamp(self, commit: Commit) -> None:
        self._db.execute("INSERT OR IGNORE INTO committed (last_id, at_ns) VALUES (?, ?)", commit)

    def _all(self, kind: type[R]) -> Iterable[R]:
        return _decoded(kind, self._db.execute("SELECT body FROM out WHERE kind = ? ORDER BY site, key", (kind.kind,)))


def _place(row: Row) -> tuple[str, int, str, str]:
    if isinstance(row, (Vitals, Wave)):
        return (row.kind, row.second, row.site, row.key)
    return (row.kind, row.offset if isinstance(row, Bad) else 0, row.site, row.key)


def _decoded(kind: type[R], found: Iterable[tuple[bytes]]) -> list[R]:
    return [decode(kind, body) for (body,) in found]
