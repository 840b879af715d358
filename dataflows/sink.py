"""The store as a Bytewax sink: rows return to the store of their partition, committed before the flow goes on.

On a full disk the flow waits here: nothing is lost, since the journal holds what is to come, and nothing is skipped.
"""

import logging
import sqlite3
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows import metrics
from dataflows.disk_full import is_full, is_only_full
from dataflows.events import SECOND_NS, STANDING, Bad, Row, Vitals
from dataflows.headway import Headway, Mark
from dataflows.keep import Keep
from dataflows.keeper import Keeper
from dataflows.roll_call import RollCall, absent
from dataflows.store import Store
from ingest.beacon import Beacon

KINDS_KEPT: Final = 1000  # of topic and reason that are counted apart in the log
RETRY_S: Final = 0.5  # on a full disk
BROKEN_S: Final = 60.0  # a disk that fails for so long otherwise than by being full is broken

log = logging.getLogger(__name__)


class StorePartition(StatefulSinkPartition[Row | RollCall | Mark, None]):
    """The store of one partition.

    Parameters
    ----------
    store
        The store, open for writing.
    keeper
        Prunes it meanwhile; None: nothing is removed.
    stopping
        Once it answers true, rows that find no room are given up: the journal has what they were made from.
    beacon
        Is told that the flow lives, and that it waits for room.
    now_ns
        Clock by which the latency of vitals is measured.
    through
        Is told what has come through.
    """

    def __init__(
        self,
        store: Store,
        keeper: Keeper | None = None,
        stopping: Callable[[], bool] = lambda: False,
        beacon: Beacon | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        through: Callable[[Mark], None] = lambda _: None,
    ) -> None:
        self._through = through
        self._store, self._keeper, self._stopping, self._beacon = store, keeper, stopping, beacon or Beacon()
        self._now_ns = now_ns
        self._lock = threading.Lock() if keeper is None else keeper.lock
        if keeper is not None:
            keeper.start()
            weakref.finalize(self, keeper.stop)  # a flow that fails closes nothing
        self._refused = Counter[tuple[str, str]]()

    def write_batch(self, values: Sequence[Row | RollCall | Mark]) -> None:
        """Commit rows; those that are here already change nothing."""
        with self._beacon.step():
            self._write([row for row in values if not isinstance(row, RollCall | Mark)])
            for roll in values:
                if isinstance(roll, RollCall):
                    with self._lock:
                        standing = self._store.alarms(STANDING)
                    self._write(absent(roll, standing))
            for mark in values:
                if isinstance(mark, Mark):
                    self._through(mark)

    def _write(self, values: Sequence[Row]) -> None:
        start_s = time.perf_counter()
        conflicts = self._put(values)
        metrics.PUT_SECONDS.observe(time.perf_counter() - start_s)
        ends_s = np.array([row.second + 1 for row in values if isinstance(row, Vitals)], np.float64)
        metrics.VITALS_LATENCY.add(self._now_ns() / SECOND_NS - ends_s)
        metrics.CONFLICTS.inc(conflicts)
        for kind, count in Counter(row.kind for row in values).items():
            metrics.ROWS.labels(kind).inc(count)
        for row in values:
            if isinstance(row, Bad):
                metrics.BAD.labels(row.reason).inc(row.count)
                self._warn(row)

    def _put(self, values: Sequence[Row]) -> int:
        """Commit rows as soon as there is room, and return how many were in conflict."""
        since_s = 0.0
        while True:
            self._beacon.beat()
            try:
                with self._lock:
                    conflicts = self._store.put(values).conflicts
            except (sqlite3.Error, OSError) as error:
                broken = since_s and not is_only_full(error) and time.monotonic() - since_s > BROKEN_S
                if not is_full(error) or broken or self._stopping():
                    raise
                if not since_s:
                    log.error("the store %s finds no room (%s): waiting for some", self._store.path, error)  # noqa: TRY400 - no fault of ours
                    since_s = time.monotonic()
                self._beacon.not_ready(f"the store {self._store.path} finds no room: {error}")
                time.sleep(RETRY_S)
            else:
                if since_s:
                    log.warning("the store %s has room again", self._store.path)
                return conflicts

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
        if self._keeper is not None:
            self._keeper.stop()
        try:
            with self._lock:
                self._store.close()
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            # Nothing but the time of the last commit; and an error here, while another unwinds, makes Bytewax abort.
            log.warning("the store %s is closed on a full disk: %s", self._store.path, error)


class StoreSink(FixedPartitionedSink[Row | RollCall | Mark, None]):
    """Stores by partition name; an item's key is its partition.

    Parameters
    ----------
    stores
        Path of the store of each partition that is this process's to write; `couriers.sqlite`, which says what is
        delivered, and ingest's local door, where it is said what went, lie beside it.
    now_ns
        Clock that stamps commits, for those who measure latency; it goes into no row.
    keep
        How much to keep; None: everything.
    partitions
        Names of all partitions of the cluster; by default those of `stores`.
    stopping
        Once it answers true, a full disk ends the flow instead of being waited for.
    beacon
        Is told that the flow lives, and that it waits for room.
    headway
        Is told what has come through.
    """

    def __init__(
        self,
        stores: Mapping[str, Path],
        now_ns: Callable[[], int],
        keep: Keep | None = None,
        *,
        partitions: Sequence[str] = (),
        stopping: Callable[[], bool] = lambda: False,
        beacon: Beacon | None = None,
        headway: Headway | None = None,
    ) -> None:
        self._headway = headway
        self._stores = dict(stores)
        self._now_ns = now_ns
        self._keep = keep
        self._partitions = sorted(partitions or stores)
        self._stopping, self._beacon = stopping, beacon

    def list_parts(self) -> list[str]:
        """Name the partitions that this process has."""
        return sorted(self._stores)

    def part_fn(self, item_key: str) -> int:
        """Find the partition of a key among all of them."""
        return self._partitions.index(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StorePartition:  # noqa: ARG002 - Bytewax's signature
        """Open a store."""
        store = Store(self._stores[for_part], now_ns=self._now_ns)
        keeper = None if self._keep is None else Keeper(store, self._keep, self._now_ns)
        through = partial(self._headway.through, for_part) if self._headway else lambda _: None
        return StorePartition(store, keeper, self._stopping, self._beacon, self._now_ns, through)
