"""All that Bytewax sees of the fold and of the shards: two stateful logics with snapshots of our own."""

import logging
from collections.abc import Callable, Iterable

from bytewax.operators import StatefulBatchLogic

from dataflows.fold import Fold, Folded
from dataflows.items import Item
from dataflows.shard import Row, Shard
from ingest.journal import Record

Snapshot = tuple[int, bytes]  # (version, bytes): Bytewax never pickles a class of ours

log = logging.getLogger(__name__)


class FoldLogic(StatefulBatchLogic[Record, Folded, Snapshot]):
    """The fold of one partition."""

    def __init__(self, n_shards: int, resume: Snapshot | None) -> None:
        self.fold = Fold(n_shards)
        if resume is not None:
            version, image = resume
            if version != Fold.VERSION:
                raise ValueError(
                    f"the recovery store holds the registry in version {version}, this is version {Fold.VERSION}: "
                    "remove the partition's recovery folder to build it anew from the journal"
                )
            self.fold.restore(image)

    def on_batch(self, values: list[Record]) -> tuple[Iterable[Folded], bool]:
        """Fold records in the order of the journal."""
        return self.fold.feed(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> Snapshot:
        """Copy the registry, the sequences and the clocks."""
        return Fold.VERSION, self.fold.image()


class ShardLogic(StatefulBatchLogic[Item, Row, Snapshot]):
    """The banks of one shard."""

    def __init__(self, resume: Snapshot | None) -> None:
        self.shard = Shard()
        if resume is not None:
            version, image = resume
            problems = self.shard.restore(image) if version == Shard.VERSION else [f"version {version} is not known"]
            for problem in problems:
                log.warning("part of a snapshot does not fit and starts anew, settling: %s", problem)

    def on_batch(self, values: list[Item]) -> tuple[Iterable[Row], bool]:
        """Step the banks."""
        return self.shard.feed(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> Snapshot:
        """Copy the rows in use."""
        return Shard.VERSION, self.shard.image()


def fold_builder(n_shards: int) -> Callable[[Snapshot | None], FoldLogic]:
    """Return what Bytewax calls for every new key of the fold."""
    return lambda resume: FoldLogic(n_shards, resume)
