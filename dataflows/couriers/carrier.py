"""What every courier shares: reading the store, retrying, remembering, reporting, stopping.

The backlog is the store itself: only a bounded number of rows is in memory, however long a receiver is away. On a full
disk couriers go on (see `cursors`).
"""

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from dataflows import metrics
from dataflows.couriers.breaker import Breaker
from dataflows.couriers.cursors import Cursors, Refused
from dataflows.couriers.delivery import Courier, DeliveryFailed, ReceiverGone
from dataflows.couriers.doubt import Doubt
from dataflows.couriers.hold import Hold
from dataflows.couriers.intake import Intake
from dataflows.couriers.lanes import BackOff, Lanes
from dataflows.couriers.letters import Letters
from dataflows.couriers.tail import Tail
from dataflows.store import Store, Stored, StoreError, StoreMissing, StoreUnfit

Report = Callable[[str, bool, str], None]  # courier's name, whether it delivers, what happened in words

log = logging.getLogger(__name__)


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
QUIET_S = 0.25  # how often a courier goes round that has nothing to do
SAY_AGAIN_S = 10.0  # after a report that could not be left


@dataclass
class _Load:
    """What a courier has in hand, since it opened its files."""

    store: Store
    cursors: Cursors
    lanes: Lanes
    intake: Intake
    head: int  # the newest row that was read
    passed: int = 0  # up to which row nothing was left to carry, when that was written down last


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
    tail
        What tells of new rows, so that the store is not asked for them in vain; None: it is asked at each poll.
    now_s, now_ns
        Monotonic clock for waiting, wall clock for what is written down.
    """

    def __init__(  # noqa: PLR0913 - clocks are for tests
        self,
        courier: Courier,
        store: str,
        cursors: str,
        report: Report,
        pace: Pace = DEFAULT_PACE,
        *,
        tail: Tail | None = None,
        now_s: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.courier = courier
        self._store = store
        self._cursors = cursors
        self._report = report
        self._pace = pace
        self._tail = tail
        self._letters = Letters(courier, report)
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
        name = self.courier.name
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
        lanes = Lanes(
            self.courier.lane, self.courier.batch, self._pace.back_off, self.courier.linger_s, rank_of=self.courier.rank
        )
        load = _Load(store, cursors, lanes, Intake(self.courier, store, cursors, lanes), head)
        breaker = Breaker(self._pace.back_off)
        hold = Hold(self.courier.hold_s)
        doubt = Doubt(name, self.courier.revised, cursors, self._pace.sure_s, self._now_s())
        deadline_s = float("inf")
        while self._now_s() < deadline_s:
            if stopping.is_set():
                deadline_s = min(deadline_s, self._now_s() + self._pace.drain_s)
            up_to = hold.up_to(store, self._now_s(), self._now_ns())
            found = self._read(load, ahead, up_to)
            may = breaker.lets(self._now_s())
            batch = lanes.next(self._now_s(), at_once=stopping.is_set()) if may else []
            if batch and not self._try(batch, load, breaker):
                return False
            if lanes.failing_since_s() is not None:
                doubt.arise(self._now_s())
            elif not batch:
                self._once_more(doubt, store, load.head)
            self._look_after(load, up_to)
            if batch or found:
                continue
            if self._wait(lanes, breaker, load.head, stopping) and deadline_s < float("inf"):
                return True  # nothing is left that could be delivered at once
        return True

    def _read(self, load: _Load, ahead: set[int], up_to: int) -> bool:
        """Take in rows that are new; whether there were any."""
        kinds, room = self.courier.kinds, max(MOST_WAITING, self.courier.batch) - len(load.lanes)
        if room <= 0 or (self._tail is not None and not self._tail.has_news(load.head, kinds)):
            return False
        found = load.store.read(load.head, min(room, max(READ_ROWS, self.courier.batch)), kinds, up_to)
        fresh = [stored for stored in found if stored.id not in ahead]
        load.intake.take(fresh, self._now_s(), self._now_ns())
        load.head = found[-1].id if found else load.head
        return bool(found)

    def _wait(self, lanes: Lanes, breaker: Breaker, head: int, stopping: threading.Event) -> bool:
        """Wait for something to do; whether it is to stop."""
        if self._tail is None or self.courier.linger_s or self.courier.hold_s:
            return stopping.wait(self._pace.poll_s)
        due_s = max(lanes.due_in_s(self._now_s()), breaker.until_s - self._now_s())
        if breaker.failures or self._gone:  # news does not wake it: it would get in the way of those that deliver
            return stopping.wait(max(0.0, min(due_s, QUIET_S)))
        return self._tail.wait(head, self.courier.kinds, min(due_s, QUIET_S), stopping)

    def _try(self, batch: Sequence[Stored], load: _Load, breaker: Breaker) -> bool:
        """Deliver a batch or note that it failed; False when the receiver wants nothing more."""
        cursors, of_row = load.cursors, False
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
            self._reason, retry_after_s, of_row = failure.reason, failure.retry_after_s, failure.of_row
        except Exception as error:  # a fault of ours in one courier must not stop the others, nor lose a row
            log.exception("courier %s failed in a way that it should not", self.courier.name)
            self._reason, retry_after_s, of_row = f"{type(error).__name__}: {error}", None, True
        else:
            self._settle(batch, refused, load)
            load.lanes.wake()
            breaker.passed()
            return True
        log.warning("courier %s: row %d not delivered: %s", self.courier.name, batch[0].id, self._reason)
        if of_row:
            breaker.passed()
        else:
            breaker.failed(self._now_s(), retry_after_s, random.random())  # noqa: S311 - not for secrets
        give_up_s = self.courier.give_up_s(batch[0])
        if give_up_s is not None:
            now_s, id_ = self._now_s(), batch[0].id
            failing_s = (
                cursors.failed(self.courier.name, id_, round((now_s - self._tried_s.get(id_, now_s)) * 1e9)) / 1e9
            )
            self._tried_s[id_] = now_s
            if failing_s >= give_up_s:
                reason = f"given up after {failing_s / 3600:.1f} h: {self._reason}"
                self._settle(batch[:1], [Refused(batch[0], reason)], load)
                return True
        load.lanes.failed(batch, self._now_s(), retry_after_s)
        return True

    def _settle(self, batch: Sequence[Stored], refused: Sequence[Refused], load: _Load) -> None:
        self._gone = False
        load.lanes.settled(batch)
        if self.courier.receiver and not refused and batch[0].id not in self._tried_s:
            load.intake.clock(batch, self._now_ns())
        for row in batch:
            self._tried_s.pop(row.id, None)
        lowest = load.lanes.lowest_id()
        up_to = load.head if lowest is None else lowest - 1
        now_ns = self._now_ns()
        bad = {letter.row.id for letter in refused}
        told = load.intake.receipts([row for row in batch if row.id not in bad], now_ns)
        beside = load.intake.done(batch)
        load.passed = load.passed if beside else max(load.passed, up_to)
        load.cursors.settle(self.courier.name, batch, up_to, refused, now_ns, told=told, beside=beside)
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

    def _look_after(self, load: _Load, up_to: int) -> None:
        now_s, name, lanes, cursors = self._now_s(), self.courier.name, load.lanes, load.cursors
        since_s = lanes.failing_since_s()
        if since_s is not None or not self._gone:
            self.health = Health(now_s, "" if since_s is None else f"{name}: {self._reason}")
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            metrics.BACKLOG.labels(name).set(len(lanes) + load.store.waiting(load.head, self.courier.kinds, up_to))
            metrics.FAILING.labels(name).set(since_s is not None or self._gone)
            cursors.flush()
            load.intake.look(now_s, self._now_ns())
            self._letters.look(cursors, now_s)
            if load.head > load.passed and lanes.lowest_id() is None:  # past rows that are nobody's business, or held
                load.passed = load.head
                cursors.settle(name, (), load.head, (), self._now_ns())
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
