"""The file of a store: brought up to date in place, and never called unfit because of what will pass."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from outgoing import ledger, one_of_each, vitals

from dataflows import store_file
from dataflows.body import encode
from dataflows.events import BedState, Ledger, Removal, Row, Vitals, Wave
from dataflows.store import APPLICATION_ID, Put, Store, StoreError, StoreUnfit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "main" / "store.sqlite"


def _of_version_1(path: Path, rows: Sequence[Row]) -> None:
    """A store as femtoward made it before: no vacuum, no totals, ledger rows without `away`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    db.executescript(f"PRAGMA journal_mode = WAL; {store_file._SCHEMA_1}")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    for id_, row in enumerate(rows, start=1):
        fields = msgspec.msgpack.decode(encode(row), type=list)
        if isinstance(row, Ledger):
            fields.pop(-2)  # away
        second = row.second if isinstance(row, (Vitals, Wave)) else 0
        revision = getattr(row, "revision", 0)
        body = msgspec.msgpack.encode(fields)
        db.execute(
            "INSERT INTO out VALUES (?, ?, ?, ?, ?, ?, ?)", (id_, row.kind, second, row.site, row.key, revision, body)
        )
    db.commit()
    db.close()


def test_a_store_of_version_1_is_upgraded_in_place_and_gives_space_back(path: Path) -> None:
    later = (BedState, Removal)  # kinds that came later
    rows = [
        replace(ledger(), away=0) if isinstance(row, Ledger) else row
        for row in one_of_each()
        if not isinstance(row, later)
    ]
    _of_version_1(path, rows)
    with pytest.raises(StoreUnfit, match=r"schema version 1.*start the flow, which upgrades it"):
        Store(path, readonly=True)
    with Store(path) as store, Store(path, readonly=True) as reader:
        assert [encode(stored.row) for stored in reader.read(0, 99)] == [encode(row) for row in rows]
        assert [(one.device, one.messages) for one in reader.refusals()] == [("w1", 1)]
        assert store.put(rows) == Put(0, len(rows), 0, 0)
        assert store._db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    with Store(path) as store:  # once more: nothing is left to do
        assert store.put([replace(ledger(2), away=1)]) == Put(0, 0, 0, 1)


def test_a_large_store_is_upgraded_without_being_rewritten(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_file, "REWRITE_BYTES", 100)
    _of_version_1(path, [vitals()])
    with Store(path) as store:
        assert store.count("vitals") == 1
        assert store._db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    assert "PRAGMA auto_vacuum = 2; VACUUM" in caplog.text


def test_a_store_that_cannot_be_opened_now_says_so_and_is_not_called_unfit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_TIMEOUT_S", 0.0)
    Store(path).close()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="cannot be opened now") as refusal:
            Store(path)
        other.execute("ROLLBACK")
    other.close()
    assert not isinstance(refusal.value, StoreUnfit)


def _text(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _other_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (x)")
    db.close()


def _other_version(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text, "cannot be read as a store"),
        (_other_database, "no store"),
        (_other_version, "schema version 99, this femtoward needs 3"),
        (Path.mkdir, "is a folder"),
    ],
)
def test_a_file_that_is_no_store_is_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], message: str, *, readonly: bool
) -> None:
    path = tmp_path / "store.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreUnfit, match=message):
        Store(path, readonly=readonly)
    assert (path.read_bytes() if path.is_file() else None) == before
