"""The Bytewax graph: journal, fold, shards, store; run by one process, or by a cluster of them."""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from dataflows.disk_full import is_full
from dataflows.events import Row
from dataflows.fold import Folded
from dataflows.headway import Headway, Mark
from dataflows.holding import Holding, kept
from dataflows.items import Item
from dataflows.keep import Keep
from dataflows.logic import fold_builder, shard_builder
from dataflows.parts import prepare
from dataflows.peers import Hello, PeerLostError, Peers
from dataflows.progress import Progress
from dataflows.recovery import (
    FLOW,
    SOURCE,
    FlowError,
    MadeFor,
    check_parts,
    committed_offset,
    identity,
    progress,
    recovery_folder,
)
from dataflows.roll_call import RollCall
from dataflows.sink import StoreSink
from dataflows.store import Store
from ingest.beacon import Beacon
from ingest.journal import JournalReader
from ingest.source import JournalSource, check_position

__all__ = ["FlowError", "FlowOptions", "PeerLostError", "dataflow", "run_flow"]

log = logging.getLogger(__name__)


class FlowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the flow reads and writes, and how it is divided."""

    data_dir: str
    partitions: tuple[str, ...] = ("main",)  # of the whole flow
    shards: int = 1  # per partition, fixed for the life of a recovery store
    workers: int = 1  # of each process
    addresses: tuple[str, ...] = ()  # HOST:PORT of each process of the cluster, in order; empty: this is the only one
    process: int = 0  # index of this one
    local: tuple[str, ...] | None = None  # partitions that this process reads and writes; None: all (of process 0)
    snapshot_s: float = 3.0
    stop_at_end: bool = False  # replay: end where the journal ends, and keep no snapshots
    journals: dict[str, str] = {}  # by partition; default: DATA_DIR/PARTITION/journal
    keep: Keep = Keep()

    def __post_init__(self) -> None:
        """Refuse numbers that no flow can run with."""
        if self.shards < 1 or self.workers < 1:
            raise ValueError(f"shards={self.shards} and workers={self.workers}: need at least 1 of each")
        if not 0.0 < self.snapshot_s <= 3600.0:
            raise ValueError(f"snapshot_s={self.snapshot_s}: need a number of seconds above 0 and up to 3600")
        if not self.partitions:
            raise ValueError("partitions is empty: need at least one name")
        if not 0 <= self.process < max(len(self.addresses), 1):
            raise ValueError(f"process={self.process}: need one of the {max(len(self.addresses), 1)} of the cluster")
        if unknown := sorted(set(self.local or ()) - set(self.partitions)):
            raise ValueError(f"local={self.local}: {unknown[0]!r} is none of the partitions {list(self.partitions)}")

    @property
    def own(self) -> tuple[str, ...]:
        """Partitions of this process."""
        if self.local is not None:
            return self.local
        return self.partitions if self.process == 0 else ()

    def folder(self, partition: str) -> Path:
        """Folder of a partition."""
        return Path(self.data_dir) / partition

    def journal(self, partition: str) -> Path:
        """Journal of a partition."""
        return Path(self.journals.get(partition, self.folder(partition) / "journal"))

    def store(self, partition: str) -> Path:
        """Store of a partition."""
        return self.folder(partition) / "store.sqlite"


def dataflow(options: FlowOptions, stopping: Callable[[], bool], observer: Progress | None = None) -> Dataflow:
    """Build the graph.

    Parameters
    ----------
    options
        Where to read and write.
    stopping
        Once it answers true, the journal is read to its present end, for a few seconds at most, and the flow ends.
    observer
        Is told how far the reading is.
    """
    graph = Dataflow(FLOW)
    journals = {name: options.journal(name) for name in options.own}
    beacon = observer.beacon if observer else Beacon()
    headway = Headway(options.shards)
    source = JournalSource(
        journals,
        stop_at_end=options.stop_at_end,
        stopping=stopping,
        observer=observer,
        hold=_hold(options, stopping, beacon),
        ahead=headway,
        rests=len(options.partitions) == options.workers == 1 and not options.addresses,
    )
    records = op.input(SOURCE, graph, source)
    folded = op.stateful_batch("fold", records, fold_builder(options.shards, beacon))
    sorted_ = op.branch("sort", folded, lambda keyed: keyed[1].shard is None)
    items: KeyedStream[Item] = op.map("address", sorted_.falses, _to_shard)
    shard_rows = op.stateful_batch("bank", items, shard_builder(beacon))
    homed = op.map("shard-rows", shard_rows, partial(_home, options.shards))
    rows = op.merge("rows", op.map("fold-rows", sorted_.trues, _row), homed)
    stores = {name: options.store(name) for name in options.own}
    keep = None if options.stop_at_end else options.keep  # an old journal worked through again gives old rows
    sink = StoreSink(
        stores, time.time_ns, keep, partitions=options.partitions, stopping=stopping, beacon=beacon, headway=headway
    )
    op.output("store", rows, sink)
    return graph


def run_flow(
    options: FlowOptions,
    stopping: Callable[[], bool],
    beacon: Beacon | None = None,
    tell: Callable[[str], None] = log.info,
) -> None:
    """Run until `stopping` answers true, or to the end of the journal.

    Told to stop, it works off what the journal holds at that moment and ends with a snapshot; after a few seconds it
    ends wherever it is, and the next start does the rest. Killed at any instant, it goes on from its last snapshot;
    the rows in between come again, under the same keys, and change nothing. In a cluster it first waits for the other
    processes; one that is told to stop drains all, and one that dies takes all down.

    Parameters
    ----------
    options
        Where to read and write.
    stopping
        Asked again and again, by any thread.
    beacon
        Is told that the flow lives, and whether it has caught up with its journals.
    tell
        Takes a line a second about how far it is, while it is behind.

    Raises
    ------
    FlowError
        If the recovery store is another one's, or a cluster's processes do not fit together.
    JournalError
        If a journal is not the one of the recovery store.
    PeerLostError
        If another process of the cluster is gone.
    """
    beacon = beacon or Beacon()
    journals = {name: options.journal(name) for name in options.own}
    observer = Progress(journals, beacon, tell, whole=options.stop_at_end)
    with ExitStack() as held:
        for name in options.own:
            options.folder(name).mkdir(parents=True, exist_ok=True)
            held.enter_context(_alone(options.folder(name), "flow.lock"))
        try:
            if not options.stop_at_end:
                _wait_for_room(options, stopping, beacon)
        except OSError as error:
            if not stopping() or not is_full(error):
                raise
            log.warning("stopped before there was room to begin")
            return
        for name in options.own:
            Store(options.store(name)).close()  # readers and couriers find it from the start
        if options.stop_at_end:
            _execute(options, dataflow(options, stopping, observer), stopping)
            return
        folder = recovery_folder(options.data_dir)
        whole = prepare(folder, options.partitions, options.shards, options.own, first=options.process == 0)
        held.enter_context(_alone(folder, f"flow-{options.process}.lock"))
        for name, journal in journals.items():
            if (offset := committed_offset(options.data_dir, name)) is not None:
                with JournalReader(journal) as reader:
                    check_position(name, reader, offset)
        if options.addresses:
            _run_with_peers(options, stopping, beacon, observer, whole)
        else:
            check_parts(whole, {str(folder): progress(folder).commits})
            recovery = RecoveryConfig(folder)  # type: ignore[no-untyped-call]  # Bytewax's compiled part has no types
            _execute(options, dataflow(options, stopping, observer), stopping, recovery)


def _run_with_peers(
    options: FlowOptions, stopping: Callable[[], bool], beacon: Beacon, observer: Progress, whole: MadeFor
) -> None:
    folder = recovery_folder(options.data_dir)
    settings = f"partitions {sorted(options.partitions)}, shards = {options.shards}, snapshot_s = {options.snapshot_s}"
    mine = Hello(options.process, f"{settings}, store {whole}", identity(folder), progress(folder).commits)
    peers = Peers(options.addresses, mine, stopping, beacon.beat, reads=bool(options.own))
    beacon.not_ready("waiting for the other processes of the cluster")
    found = peers.meet()
    if found is None:
        return
    check_parts(whole, found)
    graph = dataflow(options, peers.stopping, observer)
    if not options.own:
        beacon.ready()
    with peers.watched():
        try:
            _execute(options, graph, peers.stopping, RecoveryConfig(folder))  # type: ignore[no-untyped-call]
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a worker that loses its peer panics, which is no Exception
            if lost := peers.lost(within_s=1.0):
                raise PeerLostError(
                    f"{lost}: this process ends, too; all go on from the recovery store at their next start"
                ) from error
            raise


def _hold(options: FlowOptions, stopping: Callable[[], bool], beacon: Beacon) -> Callable[[], None]:
    """Wait for room for the next snapshot; a replay keeps none."""
    if options.stop_at_end:
        return lambda: None
    return Holding(recovery_folder(options.data_dir), options.keep, beacon, stopping).wait


def _wait_for_room(options: FlowOptions, stopping: Callable[[], bool], beacon: Beacon) -> None:
    holding = Holding(recovery_folder(options.data_dir), options.keep, beacon, stopping)
    if holding.short():  # who would make room otherwise, with the flow not running?
        with kept([options.store(name) for name in options.own], options.keep):
            holding.wait()


def _execute(
    options: FlowOptions, graph: Dataflow, stopping: Callable[[], bool], recovery: RecoveryConfig | None = None
) -> None:
    try:
        cli_main(  # type: ignore[no-untyped-call]
            graph,
            workers_per_process=options.workers,
            process_id=options.process if options.addresses else None,
            addresses=list(options.addresses) or None,
            epoch_interval=timedelta(seconds=options.snapshot_s),
            recovery_config=recovery,
        )
    except Exception as error:
        if not stopping() or not any(is_full(link) for link in _chain(error)):
            raise
        log.warning("stopped while the disk was full: the next start goes on from the last snapshot")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it: Bytewax hands on what a worker raised as a cause."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _to_shard(keyed: tuple[str, Folded]) -> tuple[str, Item]:
    partition, folded = keyed
    return f"{partition}/{folded.shard}", folded.content  # type: ignore[return-value]  # items have a shard, rows none


def _row(keyed: tuple[str, Folded]) -> tuple[str, Row | RollCall | Mark]:
    return keyed[0], keyed[1].content  # type: ignore[return-value]


def _home(n_shards: int, keyed: tuple[str, Row | RollCall | Mark]) -> tuple[str, Row | RollCall | Mark]:
    """Send a row to its partition; a shard does not know its own number, which roll calls and marks have to tell."""
    (partition, _, shard), row = keyed[0].rpartition("/"), keyed[1]
    if isinstance(row, Mark):
        return partition, row._replace(shard=int(shard))
    return partition, row._replace(shard=int(shard), n_shards=n_shards) if isinstance(row, RollCall) else row


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold a folder against a second flow; the lock goes with the process."""
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FlowError(
                f"another flow works in {folder}: stop it first, or give this one a folder of its own"
            ) from None
        yield
