"""`femtoward replay`: a journal worked through again as fast as it goes, into a store of its own."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from deploy.problem import Stopped, UserError
from ingest.journal import JournalError, JournalReader


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay gave; the digests are those of the live run, or something is wrong."""

    journal: str
    store: str
    records: int
    vitals_rows: int
    alarm_rows: int
    conflicts: int
    digest_vitals: str
    digest_alarms: str
    digest_beds: str
    wall_s: float


def journal_at(path: Path) -> Path:
    """Journal that a user means by the folder of a journal, of a partition, or of all data.

    Raises
    ------
    UserError
        There is none.
    """
    candidates = [path, path / "journal", *sorted(path.glob("*/journal"))]
    for candidate in candidates:
        try:
            if candidate.is_dir() and JournalReader(candidate).end_offset > 0:
                return candidate
        except JournalError as error:
            if candidate != path:
                raise UserError(str(error)) from error
    raise UserError(f"no journal at {path}: give the folder that holds its segments, or the data folder of a run")


def replay(
    journal: Path, data_dir: Path, shards: int, tell: Callable[[str], None], stopping: threading.Event
) -> ReplayResult:
    """Run the flow over a journal into a fresh store.

    Parameters
    ----------
    journal
        Folder of the journal; it is read only.
    data_dir
        Where the store is made.
    shards
        Keys that the patients are spread over; the result does not depend on it.
    tell
        Takes a line a second about how far it is.
    stopping
        Ends it early.

    Raises
    ------
    UserError
        There is no journal, or a store stands in `data_dir` already.
    Stopped
        `stopping` was set.
    """
    from dataflows.flow import FlowOptions, run_flow  # noqa: PLC0415 - Bytewax is loaded only where it runs
    from dataflows.store import Store  # noqa: PLC0415

    source = journal_at(journal)
    options = FlowOptions(
        data_dir=str(data_dir), shards=shards, stop_at_end=True, journals={"main": str(source.absolute())}
    )
    store_path = options.store("main")
    if store_path.exists():
        raise UserError(f"{data_dir} holds a store already: give a new folder, or remove {store_path} first")
    with JournalReader(source) as reader:
        records = reader.end_offset - reader.first_offset
    began = time.monotonic()
    run_flow(options, stopping.is_set, tell=tell)
    if stopping.is_set():
        raise Stopped(f"stopped before the end of the journal: {store_path} holds a part of it only")
    with Store(store_path, readonly=True) as store:
        return ReplayResult(
            journal=str(source),
            store=str(store_path),
            records=records,
            vitals_rows=store.count("vitals"),
            alarm_rows=store.count("alarm"),
            conflicts=store.conflict_count(),
            digest_vitals=store.digest("vitals"),
            digest_alarms=store.digest("alarm"),
            digest_beds=store.digest("bed"),
            wall_s=round(time.monotonic() - began, 3),
        )


def in_words(result: ReplayResult) -> list[str]:
    """Lines for people."""
    lines = [
        f"{result.records} records in {result.wall_s:g} s",
        f"{result.vitals_rows} vitals rows, {result.alarm_rows} alarm events",
        f"digest of vitals  {result.digest_vitals}",
        f"digest of alarms  {result.digest_alarms}",
        f"digest of beds    {result.digest_beds}",
        f"store             {result.store}",
    ]
    if result.conflicts:
        lines.append(f"wrong: {result.conflicts} rows came twice with different content")
    return lines
