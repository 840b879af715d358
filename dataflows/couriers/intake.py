"""Which rows a courier carries now, which it holds until their time, and which are none of its receiver's business.

Of each lane one row is held, the newest: it says all that the ones before it said, and these were never told. Rows that
are held, or that somebody asks for again, lie in the couriers' file beside the cursor, which passes over them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from dataflows import metrics
from dataflows.couriers.bodies import OVER
from dataflows.couriers.cursors import Cursors, Held
from dataflows.couriers.delivery import Courier
from dataflows.couriers.lanes import Lanes
from dataflows.couriers.receipts import Receipt
from dataflows.events import AlarmEvent
from dataflows.store import Store, Stored

KNOWN_MOST: Final = 10_000  # lanes that are remembered without looking them up


class Intake:
    """Sorts the rows of one courier.

    Parameters
    ----------
    courier, store, cursors
        Whose rows they are, and where they and what is held lie.
    lanes
        Where rows that are to be carried now go.
    """

    def __init__(self, courier: Courier, store: Store, cursors: Cursors, lanes: Lanes) -> None:
        self._courier, self._store, self._cursors, self._lanes = courier, store, cursors, lanes
        self._held = cursors.held(courier.name) if courier.receiver else {}
        self._follows: dict[str, bool] = {}  # lanes of which the receiver was told, or will be
        self._beside: set[int] = set()  # rows on their way that came beside the cursor
        self._queued_ns: dict[int, int] = {}  # since when rows are on their way

    def take(self, rows: Iterable[Stored], now_s: float, now_ns: int) -> None:
        """Sort rows that were read, in the order of their ids."""
        if not self._courier.receiver:
            self._lanes.add(rows, now_s)
            return
        carried = [row for row in rows if row.id not in self._beside and self._is_for_now(row, now_ns)]
        self._queued_ns.update((row.id, now_ns) for row in carried)
        self._lanes.add(carried, now_s)

    def look(self, now_s: float, now_ns: int) -> None:
        """Take rows whose time has come, and those that somebody asks for again."""
        if not self._courier.receiver:
            return
        for lane, held in list(self._held.items()):
            if held.due_ns <= now_ns:
                self._release(lane, held.row_id, now_s, now_ns)
        wanted = [id_ for id_ in self._cursors.again(self._courier.name) if id_ not in self._queued_ns]
        rows = [row for id_ in wanted for row in self._store.read(id_ - 1, 1, self._courier.kinds, id_)]
        for row in rows:
            self._courier.due_ns(row, now_ns)  # so that it knows of the alarm; whoever asks again means now
        self._add(rows, now_s, now_ns)
        if gone := set(wanted) - {row.id for row in rows}:  # the store has removed them
            for id_ in gone:
                self._cursors.let_go(self._courier.name, id_)

    def receipts(self, rows: Sequence[Stored], now_ns: int) -> list[Receipt]:
        """What is to be kept of rows that were delivered."""
        receiver = self._courier.receiver
        if not receiver:
            return []
        events = [(row.row, self._queued_ns.get(row.id, now_ns)) for row in rows if isinstance(row.row, AlarmEvent)]
        return [
            Receipt(receiver, event.site, event.id, event.step, what, at_ns)
            for event, queued_ns in events
            for what, at_ns in (("queued", queued_ns), ("delivered", now_ns))
        ]

    def clock(self, batch: Sequence[Stored], now_ns: int) -> None:
        """Count how long rows took that waited for nothing but us and the receiver."""
        for row in batch:
            if row.id not in self._beside and isinstance(row.row, AlarmEvent):
                metrics.PAGE_SECONDS.observe((now_ns - row.row.arrival_ns) / 1e9)

    def done(self, batch: Sequence[Stored]) -> bool:
        """Forget rows that are settled, and say whether they came beside the cursor."""
        for row in batch:
            self._queued_ns.pop(row.id, None)
        beside = batch[0].id in self._beside
        self._beside -= {row.id for row in batch}
        return beside

    def _is_for_now(self, row: Stored, now_ns: int) -> bool:
        lane = self._courier.lane(row)
        if not self._courier.wants(row) and not self._is_followed(lane, row):
            return False
        self._follows[lane] = True
        while len(self._follows) > KNOWN_MOST:
            del self._follows[next(iter(self._follows))]
        due_ns = self._courier.due_ns(row, now_ns)
        if due_ns > now_ns:
            self._held[lane] = Held(row.id, due_ns)
            self._cursors.hold(self._courier.name, lane, self._held[lane])
            return False
        if (held := self._held.pop(lane, None)) is not None:
            self._cursors.let_go(self._courier.name, held.row_id)
        return True

    def _is_followed(self, lane: str, row: Stored) -> bool:
        if lane not in self._follows and isinstance(row.row, AlarmEvent):
            told = self._cursors.has_told(self._courier.receiver, row.row.site, row.row.id)
            self._follows[lane] = told or lane in self._held
        return self._follows.get(lane, False)

    def _release(self, lane: str, row_id: int, now_s: float, now_ns: int) -> None:
        rows = self._store.read(row_id - 1, 1, self._courier.kinds, row_id)
        for row in rows:
            due_ns = self._courier.due_ns(row, now_ns)
            if due_ns > now_ns:  # the next thing to wait for, such as the shift after quiet hours
                self._held[lane] = Held(row_id, due_ns)
                self._cursors.hold(self._courier.name, lane, self._held[lane])
                return
            event = row.row
            never_told = isinstance(event, AlarmEvent) and not self._cursors.has_told(
                self._courier.receiver, event.site, event.id
            )
            over = isinstance(event, AlarmEvent) and event.state in OVER
            self._add(rows, now_s, now_ns, together=over and never_told)
        del self._held[lane]
        if not rows:
            self._cursors.let_go(self._courier.name, row_id)

    def _add(self, rows: Sequence[Stored], now_s: float, now_ns: int, *, together: bool = False) -> None:
        self._beside |= {row.id for row in rows}
        self._queued_ns.update((row.id, now_ns) for row in rows)
        self._lanes.add(rows, now_s, beside=True, together=together)
