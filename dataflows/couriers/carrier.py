"""What every courier shares: reading the store, retrying, remembering, reporting, stopping.

The backlog is the store itself: only a bounded number of rows is in memory, however long a receiver is away. On a full
disk couriers go on (see `cursors`).
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple, Protocol

from dataflows import metrics
from dataflows.couriers.cursors import Cursors, Refused
from dataflows.couriers.doubt import Doubt
from dataflows.couriers.hold import Hold
from dataflows.couriers.lanes import BackOff, Lanes
from dataflows.store import Store, Stored, StoreError, StoreMissing, StoreUnfit

Report = Callable[[str, bool, str], None]  # courier's name, whether it delivers, what happened in words

log = logging.getLogger(__name__)


class DeliveryFailed(Exception):
    """The receiver did not take the rows now and may take them later.

    Parameters
    ----------
    reason
        In words, without secrets.
    retry_after_s
        What the receiver asked for, if it did.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class ReceiverGone(DeliveryFailed):
    """The receiver wants nothing more: rows wait in the store, and it is asked again now and then."""


class Courier(Protocol):
    """One way out of the house."""

    @property
    def name(self) -> str:
        """Names the cursor and the reports: must not change between starts."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which rows it carries."""
        ...

    @property
    def batch(self) -> int:
        """How many rows it carries at once."""
        ...

    @property
    def linger_s(self) -> float:
        """How long a row may wait for others, so that they fill a batch."""
        ...

    @property
    def hold_s(self) -> float:
        """How long a row stays in the store after its commit before it is carried."""
        ...

    @property
    def revised(self) -> tuple[str, ...]:
        """Which of its rows may change, and overwrite at the receiver what they said before."""
        ...

    def give_up_s(self, row: Stored) -> float | None:
        """After how long a row that keeps failing becomes a dead letter; None: never."""
        ...

    def lane(self, row: Stored) -> str:
        """Rows of one lane are delivered in order; a lane that fails holds up no other."""
        ...

    def deliver(self, rows: Sequence[Stored]) -> Sequence[Refused]:
        """Deliver rows of one lane and return those that will never be taken.

        Called again with the same rows after a crash: the receiver must be able to tell (same point, same id).

        Raises
        ------
        DeliveryFailed
            Some may not have been delivered; try all of them again later.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Pace(NamedTuple):
    """How fast a courier looks, retries, reports and ends."""

    poll_s: float = 0.05
    back_off: BackOff = BackOff()
    report_after_s: float = 10.0
    drain_s: float = 5.0
    sure_s: float = 20.0  # no request lives for longer after its answer was given up (see `doubt`)
    gone_s: float = 600.0  # after a receiver said that it wants nothing more: it may have been a proxy that did


class Health(NamedTuple):
    """How a courier is: read by other threads."""

    round_s: float  # when it last went round, monotonic
    why_not: str  # why it does not deliver; empty: it does, or has nothing to do


DEFAULT_PACE = Pace()
READ_ROWS = 64  # at least, in one query
MOST_WAITING = 1024  # rows in memory whose receiver fails; the others wait in the store
SEEN_S = 60.0  # how often a courier says that it is there
LOOK_S = 1.0  # how often its backlog is counted
SAY_AGAIN_S = 10.0  # after a report that could not be left


class Carrier:
    """Carries rows from the store with one courier, in one thread.

    Parameters
    ----------
    courier
        What delivers.
    store, cursors
        Paths of the partition's store and of the couriers' file.
    report
        Called when the courier has failed for `Pace.report_after_s`, and again when it delivers once more.
    pace
        Times.
    now_s, now_ns
        Monotonic clock for waiting, wall clock for what is written down.
    """

    def __init__(
        self,
        courier: Courier,
        store: str,
        cursors: str,
        report: Report,
        pace: Pace = DEFAULT_PACE,
        *,
        now_s: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.courier = courier
        self._store = store
        self._cursors = cursors
        self._report = report
        self._pace = pace
        self._now_s = now_s
        self._now_ns = now_ns
        self.health = Health(now_s(), "")
        self._attempts = 0  # to open the store and the cursors, since both were last well
        self._broken_since_s = 0.0
        self._tried_s: dict[int, float] = {}  # when a row failed last
        self._seen_s = self._looked_s = -float("inf")
        self._reason = ""
        self._gone = False  # the receiver wanted nothing more when it was last asked
        self._said_ok: bool | None = None
        self._say_due_s = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Carry until `stopping` is set; then, for `Pace.drain_s` at most, what can be delivered at once."""
        end_s = float("inf")
        while True:
            try:
                with Store(self._store, readonly=True) as store, closing(Cursors(self._cursors)) as cursors:
                    over = self._carry(store, cursors, stopping)
            except StoreMissing:
                wait_s = self._pace.poll_s  # no failure: the flow makes it when it starts
                self.health = Health(self._now_s(), "")
                over = stopping.is_set()
            except (StoreError, sqlite3.Error, OSError) as error:
                wait_s = self._be_broken(error)
                over = stopping.is_set() and isinstance(error, StoreUnfit)
            else:
                over, wait_s = over or self._wait_for_the_gone(stopping), 0.0
            if not over and stopping.wait(wait_s):
                end_s = min(end_s, self._now_s() + self._pace.drain_s)
                over = self._now_s() + wait_s >= end_s
                if not over:
                    time.sleep(wait_s)  # a file that is busy for a moment keeps nothing from being drained
            if over:
                return

    def _be_broken(self, error: Exception) -> float:
        """Note that store or cursors cannot be used now, and return after how long to try again, in seconds."""
        self._attempts += 1
        if self._attempts == 1:
            self._broken_since_s = self._now_s()
        wait_s = self._pace.back_off.after(self._attempts, None, lambda: 0.5)
        log.warning("courier %s cannot go on, next try in %.1f s: %s", self.courier.name, wait_s, error)
        self.health = Health(self._now_s(), f"{self.courier.name}: {error}")
        if self._now_s() - self._broken_since_s >= self._pace.report_after_s:
            self._say(ok=False, detail=str(error))
        return wait_s

    def _carry(self, store: Store, cursors: Cursors, stopping: threading.Event) -> bool:
        """Carry until told to stop, or until the receiver wants nothing more (False)."""
        name, kinds = self.courier.name, self.courier.kinds
        self._be_seen(cursors)
        head, ahead = cursors.settled(name), cursors.ahead(name)
        if head > store.last_id():
            raise StoreUnfit(
                f"{name} has delivered up to row {head}, but {self._store} ends at {store.last_id()}: the store was"
                f" replaced; remove {self._cursors} to deliver the new one from its beginning"
            )
        if self._said_ok is None:
            self._said_ok = cursors.told(name)
        self._attempts = 0
        lanes = Lanes(self.courier.lane, self.courier.batch, self._pace.back_off, self.courier.linger_s)
        hold = Hold(self.courier.hold_s)
        doubt = Doubt(name, self.courier.revised, cursors, self._pace.sure_s, self._now_s())
        deadline_s = float("inf")
        while self._now_s() < deadline_s:
            if stopping.is_set():
                deadline_s = min(deadline_s, self._now_s() + self._pace.drain_s)
            room = max(MOST_WAITING, self.courier.batch) - len(lanes)
            up_to = hold.up_to(store, self._now_s(), self._now_ns())
            most = min(room, max(READ_ROWS, self.courier.batch))
            found = store.read(head, most, kinds, up_to) if room > 0 else []
            lanes.add((stored for stored in found if stored.id not in ahead), self._now_s())
            head = found[-1].id if found else head
            batch = lanes.next(self._now_s(), at_once=stopping.is_set())
            if batch and not self._try(batch, lanes, cursors, head):
                return False
            if lanes.failing_since_s() is not None:
                doubt.arise(self._now_s())
            elif not batch:
                self._once_more(doubt, store, head)
            self._look_after(lanes, cursors, store, head, up_to)
            if not batch and not found and stopping.wait(self._pace.poll_s) and deadline_s < float("inf"):
                return True  # nothing is left that could be delivered at once
        return True

    def _try(self, batch: Sequence[Stored], lanes: Lanes, cursors: Cursors, head: int) -> bool:
        """Deliver a batch or note that it failed; False when the receiver wants nothing more."""
        try:
            refused = self.courier.deliver(batch)
        except ReceiverGone as gone:
            log.warning("courier %s: %s", self.courier.name, gone.reason)
            self.health = Health(self._now_s(), f"{self.courier.name}: {gone.reason}")
            metrics.FAILING.labels(self.courier.name).set(1)
            if not self._gone:
                self._gone, self._said_ok = True, None  # that it failed before may have been said in other words
            self._say(ok=False, detail=gone.reason, cursors=cursors)
            return False
        except DeliveryFailed as failure:
            self._reason, retry_after_s = failure.reason, failure.retry_after_s
        except Exception as error:  # a fault of ours in one courier must not stop the others, nor lose a row
            log.exception("courier %s failed in a way that it should not", self.courier.name)
            self._reason, retry_after_s = f"{type(error).__name__}: {error}", None
        else:
            self._settle(batch, refused, lanes, cursors, head)
            lanes.wake()
            return True
        log.warning("courier %s: row %d not delivered: %s", self.courier.name, batch[0].id, self._reason)
        give_up_s = self.courier.give_up_s(batch[0])
        if give_up_s is not None:
            now_s, id_ = self._now_s(), batch[0].id
            failing_s = (
                cursors.failed(self.courier.name, id_, round((now_s - self._tried_s.get(id_, now_s)) * 1e9)) / 1e9
            )
            self._tried_s[id_] = now_s
            if failing_s >= give_up_s:
                reason = f"given up after {failing_s / 3600:.1f} h: {self._reason}"
                self._settle(batch[:1], [Refused(batch[0], reason)], lanes, cursors, head)
                return True
        lanes.failed(batch, self._now_s(), retry_after_s)
        return True

    def _settle(
        self, batch: Sequence[Stored], refused: Sequence[Refused], lanes: Lanes, cursors: Cursors, head: int
    ) -> None:
        self._gone = False
        lanes.settled(batch)
        for row in batch:
            self._tried_s.pop(row.id, None)
        lowest = lanes.lowest_id()
        cursors.settle(self.courier.name, batch, head if lowest is None else lowest - 1, refused, self._now_ns())
        for letter in refused:
            log.error("courier %s: row %d refused for good: %s", self.courier.name, letter.row.id, letter.reason)
        metrics.DELIVERED.labels(self.courier.name).inc(len(batch) - len(refused))
        metrics.DEAD.labels(self.courier.name).inc(len(refused))

    def _once_more(self, doubt: Doubt, store: Store, head: int) -> None:
        """Deliver again what an old request may have overwritten."""
        rows = doubt.due(store, head, self.courier.batch, self._now_s())
        if not rows:
            return
        try:
            self.courier.deliver(rows)
        except DeliveryFailed as failure:
            log.warning("courier %s: rows not delivered once more: %s", self.courier.name, failure.reason)
            doubt.arise(self._now_s())
        except Exception:  # as in _try: the other couriers must not stop with this one
            log.exception("courier %s failed in a way that it should not", self.courier.name)
            doubt.arise(self._now_s())
        else:
            doubt.delivered(rows)

    def _wait_for_the_gone(self, stopping: threading.Event) -> bool:
        """Wait until it is time to ask a receiver again that wanted nothing more; True when told to stop."""
        why_not, until_s = self.health.why_not, self._now_s() + self._pace.gone_s
        while (left_s := until_s - self._now_s()) > 0.0:
            if stopping.wait(min(LOOK_S, left_s)):
                return True
            self.health = Health(self._now_s(), why_not)
        return stopping.is_set()

    def _be_seen(self, cursors: Cursors) -> None:
        """Say that the courier is there; not while its receiver is gone: it holds no rows of the store in the end."""
        if not self._gone:
            cursors.see(self.courier.name, self.courier.kinds, self._now_ns())

    def _look_after(self, lanes: Lanes, cursors: Cursors, store: Store, head: int, up_to: int) -> None:
        now_s, name = self._now_s(), self.courier.name
        since_s = lanes.failing_since_s()
        if since_s is not None or not self._gone:
            self.health = Health(now_s, "" if since_s is None else f"{name}: {self._reason}")
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            metrics.BACKLOG.labels(name).set(len(lanes) + store.waiting(head, self.courier.kinds, up_to))
            metrics.FAILING.labels(name).set(since_s is not None or self._gone)
            cursors.flush()
        if now_s - self._seen_s >= SEEN_S:
            self._seen_s = now_s
            self._be_seen(cursors)
        if since_s is None and not self._gone:
            self._say(ok=True, detail="delivers again", cursors=cursors)
        elif since_s is not None and self._now_s() - since_s >= self._pace.report_after_s:
            self._say(ok=False, detail=self._reason, cursors=cursors)

    def _say(self, *, ok: bool, detail: str, cursors: Cursors | None = None) -> None:
        if self._said_ok is ok or self._now_s() < self._say_due_s:
            return
        try:
            self._report(self.courier.name, ok, detail)
        except OSError as error:
            self._say_due_s = self._now_s() + SAY_AGAIN_S
            log.warning("courier %s could not report (%s): tried again", self.courier.name, error)
            return
        self._said_ok = ok
        if cursors is not None:
            cursors.tell(self.courier.name, ok=ok)
