"""Carries rows to InfluxDB: in batches, each row to its retention."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from dataflows.couriers.cursors import Refused
from dataflows.couriers.delivery import TakesAll
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.line_protocol import lines, routed
from dataflows.couriers.outlet import Chunk, Lines, Outlet, blame
from dataflows.couriers.punctual import Punctual
from dataflows.couriers.schema import MEASUREMENTS
from dataflows.events import Ledger, Row
from dataflows.store import Stored

MOST_LINES = 5_000  # in one request: InfluxData recommends 5,000 to 10,000; more costs memory and gains nothing


class InfluxCourier(TakesAll):
    """A courier (see `carrier.Courier`): one lane, batches, and the cursor moves after 204.

    Points have deterministic tags and times: what is sent again after a crash overwrites itself.

    Parameters
    ----------
    options
        Where they go.
    punctual
        Told what was delivered.
    """

    name = "influx"
    kinds = tuple(MEASUREMENTS)
    revised = (Ledger.kind,)
    hold_s = 0.0

    def __init__(self, options: InfluxOptions, punctual: Punctual | None = None) -> None:
        self._punctual = punctual
        self.batch, self.linger_s = options.batch, options.linger_s
        self._outlet = Outlet(options)
        self._routes = options.tiers != "none"

    def lane(self, row: Stored) -> str:  # noqa: ARG002 - the protocol's shape
        """One for all."""
        return ""

    def give_up_s(self, row: Stored) -> None:
        """Never: what is not written waits in the store."""

    def deliver(self, rows: Sequence[Stored]) -> list[Refused]:
        """Write every row; those that the server refuses for what they say are returned, the others are written.

        Requests follow each other, so that no older row overwrites a newer one; but while the server works on one, the
        next is made.
        """
        refused: list[Refused] = []
        n_rows = 0
        under_way: _UnderWay | None = None
        for chunk in self._chunks(rows):
            if under_way is not None:
                refused += under_way.wait()
            n_rows += len(chunk.rows)
            under_way = _UnderWay(self._outlet.write, chunk)
        if under_way is not None:
            refused += under_way.wait()
        blame(refused, n_rows)
        if self._punctual is not None:
            self._punctual.delivered(rows)
        return refused

    def close(self) -> None:
        """Close connections."""
        self._outlet.close()

    def _chunks(self, rows: Sequence[Stored]) -> Iterator[Chunk]:
        """Rows with their lines, of one retention and so many as one request holds; rows without lines are left out."""
        waiting: dict[str, list[Lines]] = {}
        n_lines: dict[str, int] = {}
        for stored in rows:
            for policy, said in self._routed(stored.row):
                held = n_lines.get(policy, 0)
                if held and held + len(said) > MOST_LINES:
                    yield Chunk(policy, waiting.pop(policy))
                    held = 0
                waiting.setdefault(policy, []).append((stored, said))
                n_lines[policy] = held + len(said)
        yield from (Chunk(policy, members) for policy, members in waiting.items())

    def _routed(self, row: Row) -> Iterator[tuple[str, list[str]]]:
        """Lines of a row by retention, as far as there is a choice."""
        if self._routes:
            yield from ((retention.name, said) for retention, said in routed(row))
        elif said := lines(row):
            yield "", said


class _UnderWay:
    """A chunk that a thread of its own writes; a daemon, so that a server that hangs holds up no end of the process."""

    def __init__(self, write: Callable[[Chunk], list[Refused]], chunk: Chunk) -> None:
        self._outcome: queue.SimpleQueue[list[Refused] | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(write, chunk), name="write to InfluxDB", daemon=True).start()

    def wait(self) -> list[Refused]:
        """What the server refused of it; raises what the writing raised."""
        outcome = self._outcome.get()
        if not isinstance(outcome, Exception):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # its traceback holds this frame and the whole chunk: that ring would wait for the collector

    def _run(self, write: Callable[[Chunk], list[Refused]], chunk: Chunk) -> None:
        try:
            self._outcome.put(write(chunk))
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._outcome.put(error)
