"""Keeps a store as large as it may be, in a thread beside the sink: prunes, gives space back, and says what went.

A thread of its own, because a disk runs short just when no rows come any more; it shares the writer's connection under
its lock, and lets go of it after each small transaction. The order in which things go is told in `dataflows.keep`.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from dataflows import departed
from dataflows.couriers.cursors import needed_after, seen
from dataflows.events import SECOND_NS, AlarmEvent, Answer, Bad, BedState, Ledger, Removal, Vitals, Wave
from dataflows.keep import BAD_HELD_MOST, BAD_MOST, DAY_S, FORGOTTEN_S, HELD_S, YOUNG_S, Keep
from dataflows.retention import AT_ONCE, Gone
from dataflows.store import Store
from ingest import door
from ingest.notices import Removed
from ingest.room import Room, Stage

log = logging.getLogger(__name__)

ROUND_S: Final = 1.0
FAULTY_S: Final = 10.0  # after a fault that is not the disk's
BREATH_S: Final = 0.005  # between two transactions, so that a put that waits comes first
MOST_AT_ONCE: Final = 40  # transactions in a round
SELDOM: Final = 60  # rounds between those that bound what grows slowly
REPORT_ROUNDS: Final = 10  # what goes in so many rounds is reported together
REPORTER: Final = "store-disk"
_SHORT: Final = "store-disk-short"  # note: the last report said that the disk runs short
_ALL: Final = 1 << 62
_CARRIED: Final = (
    *(kind.kind for kind in (Vitals, Wave, AlarmEvent, BedState, Ledger, Bad, Answer, Removal)),
    *departed.KINDS,
)
_FIRST: Final = (Bad.kind, Wave.kind, Vitals.kind)  # what goes first when room is short, in this order


class Step(NamedTuple):
    """Rows of one kind that may go now."""

    kind: str
    before_s: float
    up_to: int
    why: str = ""


class Keeper:
    """Prunes one store in rounds; `start` runs it in a thread, until `stop`.

    Parameters
    ----------
    store
        The writer's.
    keep
        How much to keep.
    now_ns
        Wall clock, by which couriers note when they were seen.
    """

    def __init__(self, store: Store, keep: Keep, now_ns: Callable[[], int]) -> None:
        folder = store.path.parent
        self.lock = threading.Lock()  # held by whoever uses the store
        self._store, self._retention = store, store.retention
        self._keep, self._now_ns = keep, now_ns
        self._cursors, self._door = folder / "couriers.sqlite", folder / "door"
        self._room = Room(
            folder, short_bytes=keep.short_bytes, stop_bytes=keep.stop_bytes, quota_bytes=keep.quota_bytes
        )
        self._stage = Stage.ROOMY
        self._rounds = 0
        self._too_many = (0, 0)  # ids up to which refused messages are too many: delivered ones, and any
        self._reported_in = -REPORT_ROUNDS
        self._faults = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"keeper of {store.path}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End before the next transaction, and wait for that."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> int:
        """Look at the room that is left, remove what may go, report it; return how many rows went."""
        needed = needed_after(seen(self._cursors), _CARRIED, self._now_ns() - FORGOTTEN_S * SECOND_NS)
        left = self._room.left()
        with self.lock:
            # What is free within the file is about to be given back, and must not be removed for twice.
            self._stage = self._room.stage(left + self._retention.free_bytes(), self._stage)
            newest_s = self._retention.newest_s()
            if self._rounds % SELDOM == 0:
                self._too_many = self._retention.excess(BAD_MOST), self._retention.excess(BAD_HELD_MOST)
                self._retention.trim()
                if newest_s is not None:
                    self._retention.departed.mark(newest_s)
        removed = 0
        if newest_s is not None:
            for step in (*self._by_age(newest_s, needed), *self._by_room(newest_s, needed)):
                # Alarms go only when the others have next to nothing left; how much room that made shows next round.
                if not step.why or step.kind != AlarmEvent.kind or removed < MOST_AT_ONCE // 2 * AT_ONCE:
                    removed += self._work_off(step, MOST_AT_ONCE - removed // AT_ONCE)
        self._tidy()
        self._report()
        self._rounds += 1
        return removed

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_S):
            try:
                self.round()
            except (sqlite3.Error, OSError, door.DoorFullError) as error:
                if str(error) != self._faults:  # the same fault is said once
                    log.warning("the store %s cannot be pruned now, tried again: %s", self._store.path, error)
                self._faults = str(error)
            except Exception:  # one damaged row must not leave the store unpruned for ever
                log.exception("the store %s cannot be pruned now, tried again", self._store.path)
                self._stopping.wait(FAULTY_S)
            else:
                self._faults = ""

    def _by_age(self, newest_s: int, needed: Mapping[str, int]) -> Iterator[Step]:
        keep, (too_many, far_too_many) = self._keep, self._too_many
        hold = {kind: needed.get(kind, _ALL) for kind in _CARRIED}
        yield Step(Vitals.kind, newest_s - keep.vitals_days * DAY_S, hold[Vitals.kind])
        yield Step(BedState.kind, newest_s - keep.vitals_days * DAY_S, hold[BedState.kind])
        yield Step(Wave.kind, newest_s - keep.wave_hours * 3600, hold[Wave.kind])
        yield Step(Bad.kind, newest_s - keep.bad_days * DAY_S, hold[Bad.kind])
        yield Step(Bad.kind, float("inf"), min(too_many, hold[Bad.kind]))
        yield Step(Bad.kind, float("inf"), far_too_many)
        for kind in departed.KINDS:
            yield Step(kind, newest_s - keep.vitals_days * DAY_S, hold[kind])
        for kind in (AlarmEvent.kind, Ledger.kind, Answer.kind, Removal.kind):
            yield Step(kind, newest_s - keep.record_days * DAY_S, hold[kind])

    def _by_room(self, newest_s: int, needed: Mapping[str, int]) -> Iterator[Step]:
        if self._stage < Stage.TIGHT:
            return
        why = "the disk runs short"
        young_s, held_s = newest_s - YOUNG_S, newest_s - HELD_S
        for kind in _FIRST:
            yield Step(kind, young_s, needed.get(kind, _ALL), why)
        for kind in _FIRST:
            yield Step(kind, held_s, _ALL, f"{why}; a courier had not carried it for a day")
        if self._stage < Stage.DIRE:
            return
        for kind in _FIRST:
            yield Step(kind, young_s, _ALL, f"{why}; a courier had not carried it yet")
        yield Step(AlarmEvent.kind, young_s, needed.get(AlarmEvent.kind, _ALL), why)
        yield Step(AlarmEvent.kind, held_s, _ALL, f"{why}; a courier had not carried it for a day")

    def _work_off(self, step: Step, most: int) -> int:
        """Remove what a step names, in at most so many transactions; return how many rows went."""
        removed = 0
        for _ in range(most):
            with self.lock:
                went = self._retention.prune(*step)
            removed += went
            if went == 0 or self._stopping.wait(BREATH_S):
                break
        return removed

    def _tidy(self) -> None:
        short = self._stage >= Stage.TIGHT
        for _ in range(MOST_AT_ONCE if short else 1):
            with self.lock:
                more = self._retention.give_back(everything=short)
            if not more or self._stopping.wait(BREATH_S):
                return

    def _report(self) -> None:
        """Leave word of what went, now and then; and that it is over."""
        with self.lock:
            pending, said_short = self._retention.pending(), self._retention.note(_SHORT)
        if pending and self._rounds - self._reported_in >= REPORT_ROUNDS:
            with self.lock:
                self._retention.seal()
                gone = self._retention.gone()
            for one in gone:
                door.report(self._door, REPORTER, ok=False, detail=_detail(one), removed=_removed(one))
                with self.lock:
                    self._retention.reported(one)
                    self._retention.note_down(_SHORT, 1)
            self._reported_in = self._rounds
        elif not pending and said_short and self._stage < Stage.TIGHT:
            door.report(
                self._door, REPORTER, ok=True, detail="there is room again: nothing more is removed before its time"
            )
            with self.lock:
                self._retention.note_down(_SHORT, 0)


def _detail(gone: Gone) -> str:
    return f"{gone.rows} rows of {gone.what} were removed before their time: {gone.why}; make room, or keep less"


def _removed(gone: Gone) -> Removed:
    return Removed(gone.what, gone.first, gone.end, gone.size, f"{gone.why} ({gone.rows} rows)", gone.id)
