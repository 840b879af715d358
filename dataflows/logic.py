"""All that Bytewax sees of the fold and of the shards: two stateful logics with snapshots of our own."""

import logging
from collections.abc import Callable, Iterable

from bytewax.operators import StatefulBatchLogic

from dataflows.fold import Fold, Folded
from dataflows.headway import Mark
from dataflows.items import Item, Tick
from dataflows.recovery import FlowError
from dataflows.shard import Row, Shard
from ingest.beacon import Beacon
from ingest.journal import Record

Snapshot = tuple[int, bytes]  # (version, bytes): Bytewax never pickles a class of ours

log = logging.getLogger(__name__)


class FoldLogic(StatefulBatchLogic[Record, Folded, Snapshot]):
    """The fold of one partition."""

    def __init__(self, n_shards: int, resume: Snapshot | None, beacon: Beacon | None = None) -> None:
        self.fold, self._beacon = Fold(n_shards), beacon or Beacon()
        if resume is not None:
            try:
                _warn("the fold", self.fold.restore(*resume))
            except ValueError as error:  # who wears what cannot be made up: somebody has to decide
                raise FlowError(str(error)) from error

    def on_batch(self, values: list[Record]) -> tuple[Iterable[Folded], bool]:
        """Fold records in the order of the journal."""
        with self._beacon.step():
            return self.fold.feed(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> Snapshot:
        """Copy the registry, the sequences and the clocks."""
        with self._beacon.step():
            return Fold.VERSION, self.fold.image()


class ShardLogic(StatefulBatchLogic[Item, Row | Mark, Snapshot]):
    """The banks of one shard."""

    def __init__(self, resume: Snapshot | None, beacon: Beacon | None = None) -> None:
        self.shard, self._beacon = Shard(), beacon or Beacon()
        if resume is not None:
            _warn("a shard", self.shard.restore(*resume))

    def on_batch(self, values: list[Item]) -> tuple[Iterable[Row | Mark], bool]:
        """Step the banks."""
        with self._beacon.step():
            rows: list[Row | Mark] = [*self.shard.feed(values)]
            ticks_ns = [item.arrival_ns for item in values if isinstance(item, Tick)]
            return rows + [Mark(at_ns) for at_ns in ticks_ns[-1:]], StatefulBatchLogic.RETAIN

    def snapshot(self) -> Snapshot:
        """Copy the rows in use."""
        with self._beacon.step():
            return Shard.VERSION, self.shard.image()


def fold_builder(n_shards: int, beacon: Beacon | None = None) -> Callable[[Snapshot | None], FoldLogic]:
    """Return what Bytewax calls for every new key of the fold."""
    return lambda resume: FoldLogic(n_shards, resume, beacon)


def shard_builder(beacon: Beacon | None = None) -> Callable[[Snapshot | None], ShardLogic]:
    """Return what Bytewax calls for every new key of the banks."""
    return lambda resume: ShardLogic(resume, beacon)


def _warn(whose: str, problems: Iterable[str]) -> None:
    for problem in problems:
        log.warning("part of the snapshot of %s does not fit and starts anew, settling: %s", whose, problem)
