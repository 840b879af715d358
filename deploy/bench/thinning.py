"""What it costs to thin vitals out: InfluxDB, which reads the same seconds again and again, or a courier, once."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.influxql import InfluxQL, identity
from dataflows.couriers.tier_courier import TierCourier
from dataflows.couriers.tier_queries import select_into
from dataflows.couriers.tiers import TIERS, Tier
from dataflows.events import Vitals
from dataflows.store import Store, Stored
from deploy.bench.carrying import STORE
from deploy.bench.influxd import Influxd, program, running
from deploy.bench.ward_rows import ward_rows
from deploy.siege.trials.proc import cpu_s

PATIENTS: Final = 20
HOURS: Final = 1
HOUR_S: Final = 3600
WARD: Final = 1000  # patients of whom it is said
TIMEOUT_S: Final = 300.0


class ThinningBench(msgspec.Struct, frozen=True, kw_only=True):
    """One tier: processor time for a patient's second, and what follows for a ward of 1,000 patients."""

    measurement: str
    rows: int
    influxd_us: float  # of InfluxDB, each time it reads that second
    courier_us: float  # of our courier, which reads it once
    influxd_cores: float  # 1,000 patients: share of a core, with `tiers.Tier.reach_s` read again in each period
    influxd_pass_s: float  # one such pass
    courier_cores: float


def bench_thinning(patients: int = PATIENTS, seconds: int = HOURS * HOUR_S) -> tuple[ThinningBench, ...]:
    """Thin out some whole hours of a ward both ways; empty: there is no influxd on this machine."""
    influxd = program()
    if influxd is None:
        return ()
    begin_s = int(time.time()) // HOUR_S * HOUR_S - HOURS * HOUR_S
    with tempfile.TemporaryDirectory(prefix="femtoward-bench-") as name, running(influxd, Path(name)) as server:
        options = InfluxOptions(url=server.url, api="v1", timeout_s=TIMEOUT_S)
        with Store(Path(name) / STORE) as store:
            for rows in ward_rows(patients, begin_s, seconds):
                store.put([row for row in rows if isinstance(row, Vitals)])
        with Store(Path(name) / STORE, readonly=True) as store:
            seconds_courier = InfluxCourier(options)
            for batch in _batches(store, 1000):
                seconds_courier.deliver(batch)
            seconds_courier.close()
            n_rows = patients * seconds
            return tuple(
                _result(tier, n_rows, _by_server(tier, options, server), _by_courier(tier, options, store, Path(name)))
                for tier in TIERS
            )


def _result(tier: Tier, rows: int, influxd_s: float, courier_s: float) -> ThinningBench:
    influxd_us, courier_us = influxd_s / rows * 1e6, courier_s / rows * 1e6
    pass_s = WARD * tier.reach_s * influxd_us / 1e6
    return ThinningBench(
        measurement=tier.measurement,
        rows=rows,
        influxd_us=round(influxd_us, 1),
        courier_us=round(courier_us, 1),
        influxd_cores=round(pass_s / tier.step_s, 3),
        influxd_pass_s=round(pass_s, 1),
        courier_cores=round(WARD * courier_us / 1e6, 3),
    )


def _by_server(tier: Tier, options: InfluxOptions, server: Influxd) -> float:
    """CPU time (s) of InfluxDB, doing for all of it what its continuous query does."""
    influxql = InfluxQL(options, identity(options, ""))
    began_s = cpu_s([server.pid])
    influxql.ask(select_into(tier, options.bucket, "time >= 0 AND time < now()"), options.bucket)
    influxql.close()
    return cpu_s([server.pid]) - began_s


def _by_courier(tier: Tier, options: InfluxOptions, store: Store, folder: Path) -> float:
    """CPU time (s) of this process, making the same points and writing them."""
    courier = TierCourier(tier, options, str(folder / STORE))
    began_s = time.process_time()
    for batch in _batches(store, courier.batch):
        courier.deliver(batch)
    took_s = time.process_time() - began_s
    courier.close()
    return took_s


def _batches(store: Store, most: int) -> Iterator[list[Stored]]:
    after = 0
    while found := store.read(after, most, (Vitals.kind,)):
        yield found
        after = found[-1].id
