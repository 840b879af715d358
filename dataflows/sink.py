"""The store as a Bytewax sink: rows return to the store of their partition, committed before the flow goes on."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.events import Bad, Row
from dataflows.store import Store

KINDS_KEPT = 1000  # of topic and reason that are counted apart in the log

log = logging.getLogger(__name__)


class StorePartition(StatefulSinkPartition[Row, None]):
    """The store of one partition."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refused = Counter[tuple[str, str]]()

    def write_batch(self, values: list[Row]) -> None:
        """Commit rows; those that are here already change nothing."""
        self._store.put(values)
        for row in values:
            if isinstance(row, Bad):
                self._warn(row)

    def _warn(self, bad: Bad) -> None:
        """Say a refusal once, and then each time that there are ten times as many of its kind."""
        kind = (bad.topic, bad.reason)
        if kind not in self._refused and len(self._refused) >= KINDS_KEPT:
            kind = ("other topics", bad.reason)
        self._refused[kind] += 1
        n = self._refused[kind]
        if n == 10 ** (len(str(n)) - 1):
            log.warning("refused on %s (%d so far): %s: %s", kind[0], n, bad.reason, bad.detail)

    def snapshot(self) -> None:
        """Keep nothing: every row names itself."""

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


class StoreSink(FixedPartitionedSink[Row, None]):
    """Stores by partition name; an item's key is its partition.

    Parameters
    ----------
    stores
        Path of the store of each partition.
    now_ns
        Clock that stamps commits, for those who measure latency; it goes into no row.
    """

    def __init__(self, stores: Mapping[str, Path], now_ns: Callable[[], int]) -> None:
        self._stores = dict(stores)
        self._now_ns = now_ns

    def list_parts(self) -> list[str]:
        """Name the partitions."""
        return sorted(self._stores)

    def part_fn(self, item_key: str) -> int:
        """Find the partition of a key."""
        return self.list_parts().index(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StorePartition:  # noqa: ARG002 - Bytewax's signature
        """Open a store."""
        return StorePartition(Store(self._stores[for_part], now_ns=self._now_ns))
