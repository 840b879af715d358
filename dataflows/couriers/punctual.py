"""Which rows InfluxDB had in time to thin them out by itself: the others are left to a courier."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from dataflows.events import Vitals
from dataflows.store import Stored

IN_TIME_S: Final = 300.0  # half of how far back InfluxDB looks each minute (see `tiers`)
MOST: Final = 100  # ranges that are remembered


class Punctual:
    """What was delivered within five minutes, by the ids of rows: told by one courier, asked by others.

    It is remembered in memory only, and what is not remembered counts as late: after a start, or when InfluxDB took
    nothing for five minutes and may have thinned out nothing meanwhile, a courier makes the points. That costs a
    little work, and no point is wrong.

    Parameters
    ----------
    now_s
        Wall clock (s).
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._ranges: list[tuple[int, int]] = []  # first and last id
        self._goes_on = False  # the batch before was in time: nothing lies between it and the next
        self._heard_s = -float("inf")

    def delivered(self, rows: Sequence[Stored]) -> None:
        """Note what was delivered now, in the order of its ids, and nothing left out between two batches."""
        seconds = [stored.row.second for stored in rows if isinstance(stored.row, Vitals) and not stored.row.late]
        if not seconds:
            return
        now_s = self._now_s()
        in_time = now_s - min(seconds) <= IN_TIME_S
        with self._lock:
            if now_s - self._heard_s > IN_TIME_S:
                self._ranges.clear()
                self._goes_on = False
            self._heard_s = now_s
            if in_time and self._goes_on:
                self._ranges[-1] = self._ranges[-1][0], rows[-1].id
            elif in_time:
                self._ranges = [*self._ranges[1 - MOST :], (rows[0].id, rows[-1].id)]
            self._goes_on = in_time

    def __contains__(self, stored: object) -> bool:
        """Whether InfluxDB had a row of vitals in time; one that came late by itself, it had not."""
        if not isinstance(stored, Stored) or not isinstance(stored.row, Vitals) or stored.row.late:
            return False
        with self._lock:
            return any(first <= stored.id <= last for first, last in self._ranges)
