"""How many series an InfluxDB 1.x takes: with the settings it comes with, a hospital's patients use them up."""

from typing import Final

from dataflows.couriers.influxql import Cell, InfluxQL, QueryRefused, identity, quoted
from dataflows.couriers.outlet import UNLIMITED
from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.provision.influx import version
from deploy.receivers import Verdict
from deploy.settings import Influx
from deploy.wiring import influx_options

_SERIES: Final = "max-series-per-database"
_VALUES: Final = "max-values-per-tag"


def influx_limits(influx: Influx) -> Verdict | None:
    """Look at the limits of an InfluxDB 1.x; None: what answers has none, or says no version."""
    try:
        options = influx_options(influx)
        if not version(options).startswith("1."):
            return None
        headers = identity(options, read_secret("influx", options.secret_env, options.secret_file))
    except (UserError, ValueError) as error:
        return Verdict("warning", str(error))
    influxql = InfluxQL(options, headers)
    try:
        has = _first(influxql, "SHOW DIAGNOSTICS FOR 'config-data'")
        database = options.bucket.partition("/")[0]
        names = {str(row[0]) for series in influxql.ask("SHOW DATABASES") for row in series.values}
        counted = _first(influxql, f"SHOW SERIES CARDINALITY ON {quoted(database)}") if database in names else {}
    except QueryRefused as error:
        return Verdict("warning", f"{error}: whether it takes new patients for ever is not known: {UNLIMITED}")
    finally:
        influxql.close()
    return _judged(has, next((count for count in counted.values() if isinstance(count, int)), 0))


def _judged(has: dict[str, Cell], n_series: int) -> Verdict:
    if has.get("index-version") == "tsi1":  # which has no limits; 1.6 does not say
        return Verdict("ok", f"any number of series, {n_series:,} now, the index on disk (tsi1)")
    most_series, most_values = has.get(_SERIES), has.get(_VALUES)
    if most_series == most_values == 0:
        said = "whether index-version is 'tsi1', which keeps them on disk, it does not say"
        return Verdict("ok", f"any number of series, {n_series:,} now; {said}")
    return Verdict(
        "warning",
        f"{_SERIES} is {most_series} ({n_series:,} are used), {_VALUES} is {most_values}: with index-version 'inmem', "
        f"which it comes with, new patients are taken no more from there on: {UNLIMITED}",
    )


def _first(influxql: InfluxQL, statement: str) -> dict[str, Cell]:
    """First row of an answer; none: empty."""
    return next((row for series in influxql.ask(statement) for row in series.records()), {})
