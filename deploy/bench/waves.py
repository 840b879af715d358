"""How far behind waveforms are in InfluxDB: from the commit of a second's row until a query finds its points."""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.influxql import InfluxQL, QueryRefused, identity
from dataflows.couriers.schema import NS, qualified
from dataflows.events import Wave
from dataflows.store import Store
from deploy.bench.carrying import STORE, carrying
from deploy.bench.influxd import program, running
from deploy.bench.ward_rows import ward_rows

PATIENTS: Final = 100
SECONDS: Final = 20
AT_MOST_S: Final = 1.0
LOOK_S: Final = 0.01
END_S: Final = 60.0
POINTS: Final = 25  # of a second


class WaveBench(msgspec.Struct, frozen=True, kw_only=True):
    """How long the waves of a ward took, each second those of all patients.

    A second's wave is one row, written when that second closes: a sample is that much older still.
    """

    patients: int
    seconds: int
    median_s: float
    max_s: float
    load: float  # processes that wanted to run, of the last minute; beyond the number of cores, all of this is slower


def bench_waves(patients: int = PATIENTS, seconds: int = SECONDS) -> WaveBench | None:
    """Write a ward's rows second by second, as they would come; None: there is no influxd on this machine."""
    influxd = program()
    if influxd is None:
        return None
    with tempfile.TemporaryDirectory(prefix="femtoward-bench-") as name, running(influxd, Path(name)) as server:
        options = InfluxOptions(url=server.url, api="v1")
        influxql = InfluxQL(options, identity(options, ""))
        took_s = []
        with Store(Path(name) / STORE) as store, carrying(Path(name), server.url):
            for rows in ward_rows(patients, int(time.time()) - seconds, seconds):
                began_s = time.perf_counter()
                store.put(rows)
                took_s.append(_until_there(influxql, [row for row in rows if isinstance(row, Wave)][-1]))
                time.sleep(max(0.0, 1.0 - (time.perf_counter() - began_s)))
        influxql.close()
    took_s = took_s[1:]  # the first made the database
    return WaveBench(
        patients=patients,
        seconds=len(took_s),
        median_s=round(statistics.median(took_s), 3),
        max_s=round(max(took_s), 3),
        load=round(os.getloadavg()[0], 1),
    )


def _until_there(influxql: InfluxQL, wave: Wave) -> float:
    """Wait until a query finds every point of the last patient's second, and return for how long (s)."""
    committed_s = time.perf_counter()
    statement = (
        f"SELECT count(lo) FROM {qualified('wave')} WHERE patient = '{wave.patient}' "  # noqa: S608 - a name of ours
        f"AND time >= {wave.second * NS} AND time < {(wave.second + 1) * NS}"
    )
    while time.perf_counter() - committed_s < END_S:
        if _count(influxql, statement) == POINTS:
            return time.perf_counter() - committed_s
        time.sleep(LOOK_S)
    raise TimeoutError(f"a wave of the benchmark was not there within {END_S:g} s")


def _count(influxql: InfluxQL, statement: str) -> object:
    try:
        found = influxql.ask(statement, "femtoward")
    except QueryRefused:  # no database yet
        return 0
    return found[0].records()[0]["count"] if found else 0
