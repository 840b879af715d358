"""Vitals thinned out by InfluxDB itself: continuous queries for 1.x, tasks in Flux for 2.x.

They work at the end of each period and look back over a few, so that what comes a little late is counted. Points of
what comes later still are made by a courier, from the store (see `tier_courier`): InfluxDB cannot know which they are,
and would have to read everything again.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from dataflows.couriers.influxql import quoted
from dataflows.couriers.schema import RETENTION_OF
from dataflows.couriers.tiers import FIELDS, HOUR, MINUTE, Tier

SOURCE: Final = "vitals"
_SECONDS: Final = RETENTION_OF[SOURCE]
_LENGTH: Final[Mapping[int, str]] = {60: "1m", 3600: "1h"}


class Thinning(NamedTuple):
    """What InfluxDB does by itself: every so often, over the time before."""

    name: str
    tier: Tier
    every: str
    back: str
    words: str


THINNINGS: Final = (
    Thinning("vitals_1m", MINUTE, "1m", "10m", "each minute, over the 10 minutes before"),
    Thinning("vitals_1h", HOUR, "1h", "2h", "each hour, over the 2 hours before"),
)
GONE: Final = ("vitals_1m_late", "vitals_1h_late")  # of earlier versions: what a courier does now


def select_into(tier: Tier, database: str, where: str = "") -> str:
    """Return the InfluxQL that makes a tier's points out of vitals by the second.

    Parameters
    ----------
    tier
        Which.
    database
        Of both.
    where
        Which time, as ``time >= ... AND time < ...``; empty: a continuous query adds it by itself.
    """
    wanted = ", ".join(
        f'mean("{name}") AS "{name}", min("{name}") AS "{name}_min", max("{name}") AS "{name}_max"' for name in FIELDS
    )
    whence = f"{quoted(database)}.{quoted(_SECONDS.name)}.{quoted(SOURCE)}"
    into = f"{quoted(database)}.{quoted(tier.policy)}.{quoted(tier.measurement)}"
    condition = f" WHERE {where}" if where else ""
    return f"SELECT {wanted} INTO {into} FROM {whence}{condition} GROUP BY time({_LENGTH[tier.step_s]}), *"  # noqa: S608 - names of ours, quoted


def continuous_query(thinning: Thinning, database: str) -> str:
    """Statement that makes a continuous query of InfluxDB 1.x."""
    return (
        f"CREATE CONTINUOUS QUERY {quoted(thinning.name)} ON {quoted(database)} "
        f"RESAMPLE EVERY {thinning.every} FOR {thinning.back} BEGIN {select_into(thinning.tier, database)} END"
    )


def drop_query(name: str, database: str) -> str:
    """Statement that removes a continuous query."""
    return f"DROP CONTINUOUS QUERY {quoted(name)} ON {quoted(database)}"


def task_name(thinning: str, bucket: str) -> str:
    """Return what a task of InfluxDB 2.x is called; names are those of a whole organisation."""
    return f"{bucket} {thinning}"


def task(thinning: Thinning, bucket: str) -> str:
    """Return the Flux of a task of InfluxDB 2.x.

    It looks at whole periods only, whenever it runs: a window that is cut would overwrite a whole one's point.
    """
    length = _LENGTH[thinning.tier.step_s]
    fields = " or ".join(f'r._field == "{name}"' for name in FIELDS)
    window = 'createEmpty: false, timeSrc: "_start"'
    return f"""import "date"

option task = {{name: {_text(task_name(thinning.name, bucket))}, every: {thinning.every}, offset: 10s}}

end = date.truncate(t: now(), unit: {length})
seconds =
    from(bucket: {_text(f"{bucket}/{_SECONDS.name}")})
        |> range(start: date.sub(d: {thinning.back}, from: end), stop: end)
        |> filter(fn: (r) => r._measurement == "{SOURCE}")
        |> filter(fn: (r) => {fields})
middle = seconds |> aggregateWindow(every: {length}, fn: mean, {window})
low =
    seconds
        |> aggregateWindow(every: {length}, fn: min, {window})
        |> map(fn: (r) => ({{r with _field: r._field + "_min"}}))
high =
    seconds
        |> aggregateWindow(every: {length}, fn: max, {window})
        |> map(fn: (r) => ({{r with _field: r._field + "_max"}}))

union(tables: [middle, low, high])
    |> set(key: "_measurement", value: "{thinning.tier.measurement}")
    |> to(bucket: {_text(f"{bucket}/{thinning.tier.policy}")})
"""


def _text(text: str) -> str:
    """Return a string of Flux."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'
