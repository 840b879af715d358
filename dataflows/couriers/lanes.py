"""Rows on their way to one receiver: in order within a lane, lanes independent, each with its own back-off."""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dataflows.store import Stored

URGENT_S = 15.0  # no row of the first rank waits for longer than that after a failure
TOGETHER = 1000  # rows that are summed up in one delivery, at most


@dataclass(frozen=True)
class BackOff:
    """How long to wait after a failure: twice as long each time, and never two receivers at the same moment.

    The waiting time is drawn from the upper half of ``min(longest_s, first_s * 2**(attempts - 1))``.
    """

    first_s: float = 0.5
    longest_s: float = 60.0

    def __post_init__(self) -> None:
        """Check once."""
        if not 0 < self.first_s <= self.longest_s:
            raise ValueError(f"need 0 < first retry <= longest retry, got {self.first_s} s and {self.longest_s} s")

    def after(self, attempts: int, retry_after_s: float | None, random_0_1: Callable[[], float]) -> float:
        """Seconds to wait after so many attempts; never less than the receiver asked for."""
        most = min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, 60))
        return max(most * (0.5 + 0.5 * random_0_1()), retry_after_s or 0.0)


@dataclass
class _Lane:
    rows: deque[Stored] = field(default_factory=deque)
    due_s: float = 0.0
    attempts: int = 0
    failing_since_s: float | None = None
    woken: bool = False
    since_s: float = 0.0  # when the row that has waited longest came


class Lanes:
    """The rows that were read from the store and are neither delivered nor refused yet.

    Parameters
    ----------
    lane_of
        Which lane a row travels in; rows of one lane are delivered in the order of their ids.
    batch
        How many rows of a lane go at once.
    back_off
        Waiting times of a lane that fails.
    linger_s
        For how long the rows of a lane wait for others, so that they fill a batch.
    rank_of
        Of the lanes that are due, one whose first row has the lowest rank goes first.
    random_0_1
        For the jitter.
    """

    def __init__(
        self,
        lane_of: Callable[[Stored], str],
        batch: int,
        back_off: BackOff,
        linger_s: float = 0.0,
        random_0_1: Callable[[], float] = random.random,
        rank_of: Callable[[Stored], int] = lambda _: 1,
    ) -> None:
        self._lane_of = lane_of
        self._batch = batch
        self._back_off = back_off
        self._linger_s = linger_s
        self._random_0_1 = random_0_1
        self._rank_of = rank_of
        self._lanes: dict[str, _Lane] = {}
        self._beside: set[int] = set()  # rows that come from elsewhere than the cursor, which does not wait for them
        self._together: set[int] = set()  # rows that are summed up
        self._size = 0

    def __len__(self) -> int:
        """How many rows are on their way."""
        return self._size

    def add(self, rows: Iterable[Stored], now_s: float = 0.0, *, beside: bool = False, together: bool = False) -> None:
        """Take rows in the order of their ids; or rows beside the cursor, one by one or to be summed up."""
        for row in rows:
            if beside:
                self._beside.add(row.id)
            if together:
                self._together.add(row.id)
            name = self._name(row)
            if name not in self._lanes:
                self._lanes[name] = _Lane(since_s=now_s)
            self._lanes[name].rows.append(row)
            self._size += 1

    def next(self, now_s: float, *, at_once: bool = False) -> list[Stored]:
        """Rows to try now, all of one lane: of the lane that is due and has waited longest; empty when none is due.

        A lane that lingers is due when it fills a batch, or has waited; or `at_once`.
        """
        due = [
            lane
            for lane in self._lanes.values()
            if lane.due_s <= now_s
            and (at_once or len(lane.rows) >= self._batch or now_s - lane.since_s >= self._linger_s)
        ]
        if not due:
            return []
        lane = min(due, key=lambda lane: (self._rank_of(lane.rows[0]), lane.rows[0].id))
        most = TOGETHER if lane.rows[0].id in self._together else self._batch
        return [lane.rows[i] for i in range(min(most, len(lane.rows)))]

    def due_in_s(self, now_s: float) -> float:
        """How long until some lane may be tried, not counting how it lingers; without bound when there is none."""
        return min((lane.due_s for lane in self._lanes.values()), default=float("inf")) - now_s

    def settled(self, batch: Sequence[Stored]) -> None:
        """Drop the batch: it is delivered or refused for good."""
        name = self._name(batch[0])
        lane = self._lanes[name]
        for row in batch:
            lane.rows.popleft()
            self._beside.discard(row.id)
            self._together.discard(row.id)
        self._size -= len(batch)
        lane.due_s, lane.attempts, lane.failing_since_s, lane.woken = 0.0, 0, None, False
        if not lane.rows:
            del self._lanes[name]

    def failed(self, batch: Sequence[Stored], now_s: float, retry_after_s: float | None = None) -> None:
        """Try the batch again after its lane's back-off."""
        lane = self._lanes[self._name(batch[0])]
        lane.attempts += 1
        wait_s = self._back_off.after(lane.attempts, None, self._random_0_1)
        wait_s = min(wait_s, URGENT_S) if self._rank_of(batch[0]) == 0 else wait_s
        lane.due_s = now_s + max(wait_s, retry_after_s or 0.0)
        if lane.failing_since_s is None:
            lane.failing_since_s = now_s

    def wake(self) -> None:
        """Let every lane try at once: the receiver has just answered.

        Once for each lane and failure: a row that fails while others pass must not be tried after each of them.
        """
        for lane in self._lanes.values():
            if lane.attempts and not lane.woken:
                lane.due_s, lane.woken = 0.0, True

    def failing_since_s(self) -> float | None:
        """When the lane that has failed for longest began to; None while all is well."""
        since = [lane.failing_since_s for lane in self._lanes.values() if lane.failing_since_s is not None]
        return min(since, default=None)

    def lowest_id(self) -> int | None:
        """Id of the oldest row on its way that the cursor waits for; None when there is none."""
        if not self._beside:
            return min((lane.rows[0].id for lane in self._lanes.values()), default=None)
        waited_for = (row.id for lane in self._lanes.values() for row in lane.rows if row.id not in self._beside)
        return min(waited_for, default=None)

    def _name(self, row: Stored) -> str:
        return "\n" if row.id in self._together else self._lane_of(row)
