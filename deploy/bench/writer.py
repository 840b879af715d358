"""How fast the courier to InfluxDB is: the rows of a ward, from a real store into a real InfluxDB on this machine."""

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.cursors import Cursors
from dataflows.couriers.line_protocol import points
from dataflows.store import Store
from deploy.bench.carrying import CURSORS, STORE, carrying
from deploy.bench.influxd import program, running
from deploy.bench.ward_rows import ward_rows

PATIENTS: Final = 100
SECONDS: Final = 120
AT_LEAST: Final = 100_000  # fields a second on one core
LOOK_S: Final = 0.02
END_S: Final = 300.0


class WriterBench(msgspec.Struct, frozen=True, kw_only=True):
    """What was carried, and what it took."""

    rows: int
    points: int
    fields: int
    cpu_s: float  # of our process, all of its threads
    wall_s: float
    fields_per_core_s: int  # fields a second of our CPU time: what one core could carry
    fields_per_wall_s: int  # and what came through here, InfluxDB working on the same machine
    times_real_time: float  # that ward's seconds a second


def bench_writer(patients: int = PATIENTS, seconds: int = SECONDS) -> WriterBench | None:
    """Carry the rows of a ward; None: there is no influxd on this machine."""
    influxd = program()
    if influxd is None:
        return None
    with tempfile.TemporaryDirectory(prefix="femtoward-bench-") as name:
        folder = Path(name)
        n_rows = n_points = n_fields = 0
        with Store(folder / STORE) as store:
            for rows in ward_rows(patients, int(time.time()) - seconds - 60, seconds):
                store.put(rows)
                made_of = [point for row in rows for point in points(row)]
                n_rows, n_points = n_rows + len(rows), n_points + len(made_of)
                n_fields += sum(len(point.fields) for point in made_of)
            last = store.last_id()
        with running(influxd, folder) as server:
            cpu_s, wall_s = _carry(folder, server.url, last)
    return WriterBench(
        rows=n_rows,
        points=n_points,
        fields=n_fields,
        cpu_s=round(cpu_s, 3),
        wall_s=round(wall_s, 3),
        fields_per_core_s=round(n_fields / cpu_s),
        fields_per_wall_s=round(n_fields / wall_s),
        times_real_time=round(seconds / wall_s, 1),
    )


def _carry(folder: Path, url: str, last: int) -> tuple[float, float]:
    """Carry every row, and return CPU time of our process and time on the wall (s)."""
    began_cpu_s, began_s = time.process_time(), time.perf_counter()
    with carrying(folder, url) as courier, closing(Cursors(folder / CURSORS)) as settled:
        while settled.settled(courier) < last:
            if time.perf_counter() - began_s > END_S:
                raise TimeoutError(f"the rows of the benchmark were not carried within {END_S:g} s")
            time.sleep(LOOK_S)
        return time.process_time() - began_cpu_s, time.perf_counter() - began_s
