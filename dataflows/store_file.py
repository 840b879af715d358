"""The file of a store: its schema, what opens it, and what brings one of an older version up to date.

Version 2 gives space back to the file system, counts refusals for good, and remembers what had to be removed. The
writer upgrades a version 1 in place; killed meanwhile, it begins anew. Readers wait until it has.
"""

import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from dataflows.body import decode
from dataflows.events import Bad
from dataflows.totals import TOTALS_SCHEMA, Totals

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x66656D74  # "femt", in the file's header
SCHEMA_VERSION: Final = 3
BUSY_TIMEOUT_S: Final = 5.0
WAL_BYTES: Final = 16 << 20  # what the write-ahead log is cut back to
REWRITE_BYTES: Final = (
    1 << 30
)  # a file up to this size is rewritten within seconds, so that its space can be given back
INCREMENTAL: Final = 2  # value of auto_vacuum
_LEDGER_1: Final = 10  # fields of a ledger row before `away`

# `second` says nothing that the key does not say (0 where a kind has none): it makes rows that come together lie
# together in the index. Without it, a thousand patients' rows touch a thousand pages in every put.
_SCHEMA_1 = """
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
_SCHEMA_2 = f"""
{TOTALS_SCHEMA}
CREATE TABLE removed (
    what TEXT NOT NULL, why TEXT NOT NULL, first INTEGER NOT NULL, end INTEGER NOT NULL, size INTEGER NOT NULL,
    rows INTEGER NOT NULL, PRIMARY KEY (what, why)) WITHOUT ROWID;
CREATE TABLE note (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_SCHEMA_3 = """
CREATE TABLE sealed (
    id TEXT PRIMARY KEY, what TEXT NOT NULL, why TEXT NOT NULL, first INTEGER NOT NULL, end INTEGER NOT NULL,
    size INTEGER NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The store cannot be used; the message says why and what to do."""


class StoreMissing(StoreError):
    """There is no store at this path yet: raised for readers only, who may try again later."""


class StoreUnfit(StoreError):
    """The file is no store, or one of another schema version."""


def open_store(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open the file of a store; a writer makes it where there is none, and upgrades an older one.

    Raises
    ------
    StoreMissing
        A reader finds no store: the flow has not begun.
    StoreUnfit
        The file is no store of this version.
    """
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
        check_same_thread=False,  # a writer is shared with the thread that prunes, under a lock
    )
    try:
        _check(db, path, readonly=readonly)
    except sqlite3.OperationalError as error:
        db.close()
        raise StoreError(
            f"{path} cannot be opened now ({error}): see that the disk is not full, that this user may read and write"
            " there, and that no other program holds it"
        ) from error
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreUnfit(
            f"{path} cannot be read as a store ({error}): move it away, or check the data folder"
        ) from error
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, path: Path, *, readonly: bool) -> None:
    version = _version(db, path)
    if readonly:
        if version == 0:
            raise StoreMissing(f"{path} is still empty: the flow is about to make it; try again")
        if version < SCHEMA_VERSION:
            raise StoreUnfit(
                f"{path} has schema version {version}, this femtoward needs {SCHEMA_VERSION}: start the flow, which"
                " upgrades it"
            )
        return
    if version == 0:
        db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")  # before the first page is written
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    if version < SCHEMA_VERSION:
        db.execute("BEGIN IMMEDIATE")
        for schema in (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3)[version:]:
            _run(db, schema)
        if version == 1:
            _upgrade(db)
        if version:
            log.info("the store %s was brought from schema version %d to %d", path, version, SCHEMA_VERSION)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    _let_space_come_back(db, path)


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Schema version; 0 for a file that is still empty."""
    application, version, tables = db.execute(
        "SELECT (SELECT * FROM pragma_application_id), (SELECT * FROM pragma_user_version), count(*) FROM sqlite_schema"
    ).fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise StoreUnfit(f"{path} is an SQLite file, but no store: move it away, or check the data folder")
    if not 1 <= version <= SCHEMA_VERSION:
        raise StoreUnfit(
            f"{path} has schema version {version}, this femtoward needs {SCHEMA_VERSION}:"
            " replay the journal into a new data folder"
        )
    return int(version)


def _upgrade(db: sqlite3.Connection) -> None:
    """Count the refusals that are there, file them by their offsets, and give each ledger row its new field."""
    bad: list[Bad] = []
    for id_, body in db.execute("SELECT id, body FROM out WHERE kind = 'bad'").fetchall():
        row = decode(Bad, body)
        bad.append(row)
        db.execute("UPDATE out SET second = ? WHERE id = ?", (row.offset, id_))
    Totals(db).add(bad)
    for id_, body in db.execute("SELECT id, body FROM out WHERE kind = 'ledger'").fetchall():
        fields = msgspec.msgpack.decode(body, type=list)
        if len(fields) == _LEDGER_1:
            fields.insert(-1, 0)  # away
            db.execute("UPDATE out SET body = ? WHERE id = ?", (msgspec.msgpack.encode(fields), id_))


def _let_space_come_back(db: sqlite3.Connection, path: Path) -> None:
    """Rewrite a file that was made without incremental vacuum, if that is a matter of seconds."""
    if db.execute("PRAGMA auto_vacuum").fetchone()[0] == INCREMENTAL:
        return
    size = path.stat().st_size
    if size > min(REWRITE_BYTES, shutil.disk_usage(path.parent).free // 3):
        log.warning(
            "the store %s (%d MB) keeps its size on the disk, whatever is removed from it: it is too large to be"
            " rewritten at the start; stop the flow and run `sqlite3 %s 'PRAGMA auto_vacuum = 2; VACUUM'`",
            path,
            size // 1_000_000,
            path,
        )
        return
    db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
    db.execute("VACUUM")


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)
