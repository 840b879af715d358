"""Puts right what an older revision of a row may have overwritten at its receiver.

Rows are delivered in the order of their ids, each request after the answer to the one before. But a request whose
answer never came (it timed out, or its sender was killed) may lie in the receiver and be worked on later than its
repetition, and even later than a newer revision of the same row, which it then overwrites. So after each failure, and
after each start, the rows that may have been on their way are in doubt; when all has been well for longer than any
request lives, their newest revisions are delivered once more. Rows that never change need none of this.
"""

from dataflows.couriers.cursors import Cursors
from dataflows.store import Store, Stored


class Doubt:
    """What one courier may have to deliver once more.

    Parameters
    ----------
    courier
        Its name.
    kinds
        Rows that overwrite each other at the receiver.
    cursors
        Where the doubt is kept over a restart.
    well_s
        For how long all must have been well.
    now_s
        Monotonic time of the start.
    """

    def __init__(self, courier: str, kinds: tuple[str, ...], cursors: Cursors, well_s: float, now_s: float) -> None:
        self._courier, self._kinds, self._cursors, self._well_s = courier, kinds, cursors, well_s
        self._after: int | None = None  # rows after this one are in doubt
        self._done = 0  # and have been delivered once more up to this one
        self._since_s = now_s
        if kinds:
            self._after = cursors.doubt(courier)
            self.arise(now_s)

    def arise(self, now_s: float) -> None:
        """Doubt every row after the last settled one: an attempt failed, or may have."""
        if not self._kinds:
            return
        self._since_s = now_s
        if self._after is None:
            self._after = self._cursors.settled(self._courier)
            self._cursors.set_doubt(self._courier, self._after)
        self._done = self._after

    def due(self, store: Store, head: int, batch: int, now_s: float) -> list[Stored]:
        """Rows to deliver once more now, of those up to `head`; when none is left, the doubt is gone."""
        if self._after is None or now_s - self._since_s < self._well_s:
            return []
        found = [row for row in store.read(self._done, batch, self._kinds) if row.id <= head]
        if not found:
            self._after = None
            self._cursors.set_doubt(self._courier, None)
        return found

    def delivered(self, rows: list[Stored]) -> None:
        """Note that rows were delivered once more."""
        self._done = rows[-1].id
