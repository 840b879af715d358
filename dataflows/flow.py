"""The Bytewax graph: journal, fold, shards, store."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from dataflows.events import Row
from dataflows.fold import Folded
from dataflows.items import Item
from dataflows.logic import ShardLogic, fold_builder
from dataflows.sink import StoreSink
from dataflows.store import Store
from ingest.source import JournalSource


class FlowError(Exception):
    """The flow cannot start; the message says what to do."""


class FlowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the flow reads and writes, and how it is divided."""

    data_dir: str
    partitions: tuple[str, ...] = ("main",)
    shards: int = 4  # per partition, fixed for the life of a recovery store
    workers: int = 1
    snapshot_s: float = 3.0
    stop_at_end: bool = False  # replay: end where the journal ends, and keep no snapshots
    journals: dict[str, str] = {}  # by partition; default: DATA_DIR/PARTITION/journal

    def __post_init__(self) -> None:
        """Refuse numbers that no flow can run with."""
        if self.shards < 1 or self.workers < 1:
            raise ValueError(f"shards={self.shards} and workers={self.workers}: need at least 1 of each")
        if not 0.0 < self.snapshot_s <= 3600.0:
            raise ValueError(f"snapshot_s={self.snapshot_s}: need a number of seconds above 0 and up to 3600")
        if not self.partitions:
            raise ValueError("partitions is empty: need at least one name")

    def folder(self, partition: str) -> Path:
        """Folder of a partition."""
        return Path(self.data_dir) / partition

    def journal(self, partition: str) -> Path:
        """Journal of a partition."""
        return Path(self.journals.get(partition, self.folder(partition) / "journal"))

    def store(self, partition: str) -> Path:
        """Store of a partition."""
        return self.folder(partition) / "store.sqlite"


def dataflow(options: FlowOptions, stopping: Callable[[], bool]) -> Dataflow:
    """Build the graph.

    Parameters
    ----------
    options
        Where to read and write.
    stopping
        Once it answers true, the journal is read to its present end and the flow ends.
    """
    graph = Dataflow("femtoward")
    source = JournalSource(
        {name: options.journal(name) for name in options.partitions},
        stop_at_end=options.stop_at_end,
        stopping=stopping,
    )
    records = op.input("journal", graph, source)
    folded = op.stateful_batch("fold", records, fold_builder(options.shards))
    sorted_ = op.branch("sort", folded, lambda keyed: keyed[1].shard is None)
    items: KeyedStream[Item] = op.map("address", sorted_.falses, _to_shard)
    shard_rows = op.stateful_batch("bank", items, ShardLogic)
    rows = op.merge("rows", op.map("fold-rows", sorted_.trues, _row), op.map("shard-rows", shard_rows, _home))
    stores = {name: options.store(name) for name in options.partitions}
    op.output("store", rows, StoreSink(stores, time.time_ns))
    return graph


def run_flow(options: FlowOptions, stopping: Callable[[], bool]) -> None:
    """Run until `stopping` answers true and all is worked off, or to the end of the journal.

    Killed at any instant, the flow goes on from its last snapshot; the rows in between come again, under the same
    keys, and change nothing.

    Raises
    ------
    FlowError
        If the recovery store is another one's; the message says what to do.
    """
    with ExitStack() as locks:
        for name in options.partitions:
            options.folder(name).mkdir(parents=True, exist_ok=True)
            locks.enter_context(_alone(options.folder(name)))
            Store(options.store(name)).close()  # readers and couriers find it from the start
        _run(options, stopping)


def _run(options: FlowOptions, stopping: Callable[[], bool]) -> None:
    cli_main(  # type: ignore[no-untyped-call]  # Bytewax's compiled part has no types
        dataflow(options, stopping),
        workers_per_process=options.workers,
        epoch_interval=timedelta(seconds=options.snapshot_s),
        recovery_config=None if options.stop_at_end else RecoveryConfig(_recovery(options)),  # type: ignore[no-untyped-call]
    )


def _to_shard(keyed: tuple[str, Folded]) -> tuple[str, Item]:
    partition, folded = keyed
    return f"{partition}/{folded.shard}", folded.content  # type: ignore[return-value]  # items have a shard, rows none


def _row(keyed: tuple[str, Folded]) -> tuple[str, Row]:
    return keyed[0], keyed[1].content  # type: ignore[return-value]


def _home(keyed: tuple[str, Row]) -> tuple[str, Row]:
    return keyed[0].rpartition("/")[0], keyed[1]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a partition's folder against a second flow; the lock goes with the process."""
    with (folder / "flow.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FlowError(
                f"another flow works in {folder}: stop it first, or give this one a folder of its own"
            ) from None
        yield


def _recovery(options: FlowOptions) -> Path:
    """Return the recovery store, made if need be; it belongs to one number of shards and one set of partitions."""
    folder = Path(options.data_dir) / "recovery"
    made_for = folder / "made-for.json"
    wanted = {"partitions": sorted(options.partitions), "shards": options.shards}
    if not made_for.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("part-*.sqlite3*"):
            left.unlink()  # killed while it was being made
        init_db_dir(folder, 1)  # type: ignore[no-untyped-call]
        draft = made_for.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.encode(wanted))
        draft.replace(made_for)
    found = msgspec.json.decode(made_for.read_bytes())
    if found != wanted:
        raise FlowError(
            f"the recovery store {folder} was made for {found}, this flow is {wanted}: start it with those settings, "
            "or remove that folder to build the state anew from the journal"
        )
    return folder
