"""Helpers for tests of couriers: a courier that does what it is told, reports that are kept, a partition's paths."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from receiver import WAIT_S

from dataflows.couriers.carrier import Carrier, Pace
from dataflows.couriers.cursors import Cursors, Refused
from dataflows.couriers.delivery import TakesAll
from dataflows.couriers.lanes import BackOff
from dataflows.events import Row
from dataflows.store import Store, Stored

FAST = Pace(poll_s=0.005, back_off=BackOff(0.005, 0.02), report_after_s=0.05, drain_s=5.0)


class Recorder(TakesAll):
    """A courier for tests: keeps what came, and does with a batch what it is told."""

    def __init__(
        self,
        act: Callable[[Sequence[Stored]], Sequence[Refused]] = lambda _: (),
        *,
        batch: int = 1,
        give_up_s: float | None = None,
    ) -> None:
        self.name = "recorder"
        self.kinds: tuple[str, ...] = ("alarm",)
        self.revised: tuple[str, ...] = ()
        self.batch = batch
        self.linger_s = self.hold_s = 0.0
        self._give_up_s = give_up_s
        self.act = act
        self.delivered: list[str] = []
        self.changed = threading.Condition()

    def give_up_s(self, _: Stored) -> float | None:
        return self._give_up_s

    def lane(self, row: Stored) -> str:
        return row.row.key.split("/")[0]

    def deliver(self, rows: Sequence[Stored]) -> Sequence[Refused]:
        refused = self.act(rows)
        with self.changed:
            self.delivered += [row.row.key for row in rows]
            self.changed.notify_all()
        return refused

    def wait_for(self, count: int) -> list[str]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.delivered) >= count, WAIT_S), self.delivered
            return list(self.delivered)

    def close(self) -> None:
        """Nothing to let go."""


class Reports:
    """Collects reports."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool, str]] = []
        self.changed = threading.Condition()

    def __call__(self, courier: str, ok: bool, detail: str) -> None:  # noqa: FBT001 - the shape of Report
        with self.changed:
            self.said.append((courier, ok, detail))
            self.changed.notify_all()

    def wait_for(self, count: int) -> list[tuple[str, bool, str]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.said) >= count, WAIT_S), self.said
            return list(self.said)


class Place:
    """Paths of a partition in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.store = str(folder / "store.sqlite")
        self.cursors = str(folder / "couriers.sqlite")

    def put(self, *rows: Row) -> None:
        with Store(self.store) as store:
            store.put(rows)

    def settled(self, courier: str = "recorder") -> int:
        with closing(Cursors(self.cursors)) as cursors:
            return cursors.settled(courier)


@contextmanager
def carrying(place: Place, courier: Recorder, report: Reports | None = None, pace: Pace = FAST) -> Iterator[None]:
    with running_until_then(Carrier(courier, place.store, place.cursors, report or Reports(), pace).run):
        yield


@contextmanager
def running_until_then(run: Callable[[threading.Event], object]) -> Iterator[None]:
    """Run something in a thread until the block ends, when it is told to stop."""
    stopping = threading.Event()
    thread = threading.Thread(target=run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def stored(rows: Sequence[Row]) -> list[Stored]:
    """Rows as a store of their own would number them."""
    return [Stored(id_, row) for id_, row in enumerate(rows, start=1)]
