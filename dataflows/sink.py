"""The store as a Bytewax sink: rows return to the store of their partition, committed before the flow goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.events import Row
from dataflows.store import Store


class StorePartition(StatefulSinkPartition[Row, None]):
    """The store of one partition."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write_batch(self, values: list[Row]) -> None:
        """Commit rows; those that are here already change nothing."""
        self._store.put(values)

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
