"""Writes what became of each alarm event at each receiver to InfluxDB: each receipt one point of ``receipt``."""

import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.couriers.cursors import Cursors
from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.line_protocol import escape_tag
from dataflows.couriers.outlet import Outlet
from dataflows.couriers.receipts import Receipt
from dataflows.couriers.schema import RETENTION_OF
from dataflows.disk_full import open_to_read

MEASUREMENT: Final = "receipt"
EVERY_S: Final = 5.0
MOST: Final = 2000  # in one request
NAME: Final = "receipts"  # of the cursor
_NEW: Final = """
SELECT id, receiver, site, alarm, step, what, at_ns, (
    SELECT at_ns FROM receipt AS first WHERE first.alarm = receipt.alarm AND first.site = receipt.site
        AND first.step = receipt.step AND first.receiver = receipt.receiver AND first.what = 'queued')
FROM receipt WHERE id > ? ORDER BY id LIMIT ?
"""

log = logging.getLogger(__name__)


class Numbered(NamedTuple):
    """A receipt, its place, and when its event was queued for the receiver; None: not known."""

    id: int
    receipt: Receipt
    queued_ns: int | None


class ReceiptPoints:
    """Writes; made for a thread of its own.

    Parameters
    ----------
    cursors
        Path of the couriers' file.
    influx
        Where the points go.
    now_ns
        Wall clock of what is written down.
    """

    def __init__(self, cursors: str, influx: InfluxOptions, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._path, self._now_ns = cursors, now_ns
        self._policy = "" if influx.tiers == "none" else RETENTION_OF[MEASUREMENT].name
        self._outlet = Outlet(influx)

    def run(self, stopping: threading.Event) -> None:
        """Write every so often until `stopping` is set: what fails is tried again."""
        try:
            while not stopping.wait(EVERY_S):
                try:
                    self.write()
                except (DeliveryFailed, sqlite3.Error, OSError) as error:
                    log.debug("receipts are not written now: %s", error)
        finally:
            self._outlet.close()

    def write(self) -> None:
        """Write what is new.

        Raises
        ------
        DeliveryFailed
            InfluxDB did not say that it has it.
        """
        if not Path(self._path).exists():
            return
        with closing(Cursors(self._path)) as cursors:
            while found := new_receipts(Path(self._path), cursors.settled(NAME), MOST):
                answer = self._outlet.send([line(*one[1:]) for one in found], self._policy)
                if answer is not None:  # what it refuses once it refuses always, such as what is too old
                    log.warning("InfluxDB takes no receipts up to %d: %s", found[-1].id, answer.text)
                cursors.settle(NAME, (), found[-1].id, (), self._now_ns())


def new_receipts(path: Path, after: int, most: int) -> list[Numbered]:
    """Receipts after one, in the order in which they came."""
    with closing(open_to_read(path)) as db:
        return [Numbered(row[0], Receipt(*row[1:7]), row[7]) for row in db.execute(_NEW, (after, most))]


def line(receipt: Receipt, queued_ns: int | None) -> str:
    r"""One point in line protocol.

    Examples
    --------
    >>> line(Receipt("pager", "north", "a1", 2, "seen", 5_000_000_000), 1_000_000_000)
    'receipt,receiver=pager,site=north,what=seen alarm="a1",step=2i,after_ms=4000.0 5000000168'
    """
    tags = f"receiver={escape_tag(receipt.receiver)},site={escape_tag(receipt.site)},what={escape_tag(receipt.what)}"
    after = "" if queued_ns is None else f",after_ms={(receipt.at_ns - queued_ns) / 1e6!r}"
    # Two events may be told at one moment: their key, below the microsecond, keeps them apart.
    apart = zlib.crc32(f"{receipt.alarm}/{receipt.step}".encode()) % 1000
    time_ns = receipt.at_ns - receipt.at_ns % 1000 + apart
    return f'{MEASUREMENT},{tags} alarm="{receipt.alarm}",step={receipt.step}i{after} {time_ns}'
