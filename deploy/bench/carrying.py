"""The courier to InfluxDB at work, as in a ward: a thread of its own, reading a store."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dataflows.couriers.carrier import Carrier, Pace
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions

STORE: Final = "store.sqlite"
CURSORS: Final = "couriers.sqlite"


@contextmanager
def carrying(folder: Path, url: str) -> Iterator[str]:
    """Carry what stands in a folder's store while the block runs; gives the courier's name."""
    courier, stopping = InfluxCourier(InfluxOptions(url=url, api="v1")), threading.Event()
    carrier = Carrier(courier, str(folder / STORE), str(folder / CURSORS), lambda *_: None, Pace())
    thread = threading.Thread(target=carrier.run, args=(stopping,), daemon=True)
    thread.start()
    try:
        yield courier.name
    finally:
        stopping.set()
        thread.join()
        courier.close()
