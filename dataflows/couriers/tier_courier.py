"""Thins vitals out where InfluxDB does not: makes each period's point from the store, and anew when late rows come.

A row waits for a whole period after its commit before it is looked at. By then all that came in time is in the store,
so one reading makes the point of a minute or an hour; and no earlier request for the same point is still on its way
that could overwrite it. What the point says follows from the rows alone: after a crash it is made again, the same.

Where InfluxDB thins out by itself, only points of what it did not have in time are made here; and rows wait until it
looks back at their period no more, or it would overwrite the point with one of those rows that it has by then.
"""

from collections.abc import Container, Sequence
from typing import Final

from dataflows.couriers import tiers
from dataflows.couriers.cursors import Refused
from dataflows.couriers.delivery import TakesAll
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.outlet import Chunk, Lines, Outlet, blame
from dataflows.couriers.punctual import Punctual
from dataflows.couriers.tiers import Tier
from dataflows.events import Vitals
from dataflows.store import Store, Stored

SLACK_S: Final = 5.0  # a second closes 0.5 s late, and its commit takes a moment
AFTER_S: Final = 60.0  # a pass of InfluxDB may last
BATCH: Final = 200  # rows, and so points at most: each point of an hour is made of 3,600 rows
MOST_KNOWN: Final = 50_000  # periods whose newest rows are remembered, a few MB

_Period = tuple[str, str, int]  # site, patient, start


class TierCourier(TakesAll):
    """A courier (see `carrier.Courier`) that turns vitals by the second into those of one tier.

    Parameters
    ----------
    tier
        Which.
    options
        Where they go.
    store
        Path of the store that the rows come from.
    left_out
        Rows whose periods InfluxDB thins out by itself; None: it thins out none.
    """

    kinds = (Vitals.kind,)
    revised = ()
    batch = BATCH
    linger_s = 0.0

    def __init__(self, tier: Tier, options: InfluxOptions, store: str, left_out: Punctual | None = None) -> None:
        self.name = f"influx-{tier.policy}"
        self.hold_s = tier.step_s + (SLACK_S if left_out is None else tier.reach_s + AFTER_S)
        self._left_out: Container[Stored] = left_out or ()
        self._tier, self._path = tier, store
        self._outlet = Outlet(options)
        self._store: Store | None = None
        self._made: dict[_Period, int] = {}  # from all rows up to this id

    def lane(self, row: Stored) -> str:  # noqa: ARG002 - the protocol's shape
        """One for all."""
        return ""

    def give_up_s(self, row: Stored) -> None:
        """Never: what is not written waits in the store."""

    def deliver(self, rows: Sequence[Stored]) -> list[Refused]:
        """Write the point of every period that the rows belong to, unless it was made of them already."""
        due: dict[_Period, Stored] = {}
        for stored in rows:
            if isinstance(stored.row, Vitals) and stored not in self._left_out:
                period = self._period(stored.row)
                if stored.id > self._made.get(period, 0):
                    due[period] = stored
        if not due:
            return []
        store = self._opened()
        up_to = store.last_id()
        made: list[Lines] = []
        for period, stored in due.items():
            site, patient, start_s = period
            found = store.seconds(site, patient, start_s, start_s + self._tier.step_s)
            if said := tiers.lines(self._tier, start_s, found):
                made.append((stored, said))
        refused = self._outlet.write(Chunk(self._tier.policy, made)) if made else []
        blame(refused, len(made))
        self._remember(due, up_to)
        return refused

    def close(self) -> None:
        """Close connections and the store."""
        self._outlet.close()
        if self._store is not None:
            self._store.close()
            self._store = None

    def _period(self, row: Vitals) -> _Period:
        return row.site, row.patient, row.second - row.second % self._tier.step_s

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self._path, readonly=True)
        return self._store

    def _remember(self, due: dict[_Period, Stored], up_to: int) -> None:
        for period in due:
            self._made.pop(period, None)  # to the end: what has not been spoken of for longest is forgotten first
            self._made[period] = up_to
        while len(self._made) > MOST_KNOWN:
            del self._made[next(iter(self._made))]
