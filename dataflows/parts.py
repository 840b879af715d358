"""Making the parts of a recovery store: as many as it takes for each partition to have one of its own."""

import fcntl
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from dataflows.recovery import FLOW, FORMAT, MADE_FOR, SOURCE, FlowError, MadeFor, check_made_for, made_for
from ingest.durable import replace_file, sync_folder

PARTS_MOST: Final = 64  # each is a file that every snapshot is committed to


def prepare(folder: Path, partitions: Sequence[str], shards: int, local: Collection[str], *, first: bool) -> MadeFor:
    """Make what is missing of a recovery store in the folder of one process, or find that it fits.

    Parameters
    ----------
    folder
        Of the recovery store; processes on one host may share it.
    partitions
        All partitions of the flow.
    shards
        For each partition.
    local
        Partitions of this process.
    first
        This is the first process of the cluster, which keeps the spare parts.

    Raises
    ------
    FlowError
        The store was made for something else; the message says what to do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "making.lock"):
        whole = made_for(folder)
        if whole is None:
            names = tuple(sorted(partitions))
            whole = MadeFor(FORMAT, names, shards, *_homes(names))
            for left in folder.glob("part-*.sqlite3*"):
                left.unlink()  # of an earlier version, or killed while it was being made
            replace_file(folder / MADE_FOR, msgspec.json.encode(whole))
        check_made_for(folder, whole, partitions, shards)
        missing = {i: name for i, name in whole.own(local, spare=first).items() if not (folder / name).exists()}
        if missing:
            _make(folder, missing, whole.parts)
    return whole


def _homes(partitions: tuple[str, ...]) -> tuple[tuple[int, ...], int]:
    """Part of each partition, and how many parts it takes until no two share one."""
    for count in range(len(partitions), PARTS_MOST + 1):
        homes = _where(partitions, count)
        if len(set(homes)) == len(partitions):
            return homes, count
    raise FlowError(
        f"{len(partitions)} partitions need more than {PARTS_MOST} parts of a recovery store: divide them among "
        "several flows"
    )


def _where(partitions: tuple[str, ...], count: int) -> tuple[int, ...]:
    """Ask Bytewax itself in which of `count` parts it keeps the positions of these partitions."""
    if count == 1:
        return (0,)
    with tempfile.TemporaryDirectory() as folder:
        init_db_dir(folder, count)  # type: ignore[no-untyped-call]  # Bytewax's compiled part has no types
        graph = Dataflow(FLOW)
        op.output("out", op.input(SOURCE, graph, _Ended(partitions)), _Nowhere())
        cli_main(graph, recovery_config=RecoveryConfig(folder))  # type: ignore[no-untyped-call]
        found: dict[str, int] = {}
        for file in Path(folder).glob("*.sqlite3"):
            with closing(sqlite3.connect(file)) as connection:
                (index,) = connection.execute("SELECT part_index FROM parts").fetchone()
                found |= dict.fromkeys((key for (key,) in connection.execute("SELECT state_key FROM snaps")), index)
    return tuple(found[name] for name in partitions)


def _make(folder: Path, missing: dict[int, str], count: int) -> None:
    """Make parts whole and elsewhere, then move them in: another process may be listing the folder."""
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        init_db_dir(draft, count)  # type: ignore[no-untyped-call]
        for index, name in missing.items():
            (Path(draft) / f"part-{index}.sqlite3").rename(folder / name)
    sync_folder(folder)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Ended(FixedPartitionedSource[str, int]):
    """A source of nothing but positions."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def list_parts(self) -> list[str]:
        """Name the partitions."""
        return list(self.names)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_EndedPartition":  # noqa: ARG002 - Bytewax's signature
        """Open nothing."""
        return _EndedPartition()


class _EndedPartition(StatefulSourcePartition[str, int]):
    def next_batch(self) -> list[str]:
        """End at once."""
        raise StopIteration

    def snapshot(self) -> int:
        """Position of the beginning."""
        return 0


class _Nowhere(DynamicSink[str]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_NowherePartition":  # noqa: ARG002 - Bytewax's signature
        """Open nothing."""
        return _NowherePartition()


class _NowherePartition(StatelessSinkPartition[str]):
    def write_batch(self, items: list[str]) -> None:
        """Take nothing."""
