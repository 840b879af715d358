"""How long InfluxDB keeps what: names of retentions, which rows go where, and how a server of each version says it.

InfluxDB 1.x: retention policies of one database. 2.x: buckets ``DATABASE/NAME``, which InfluxQL finds as database and
policy by themselves. 3.x: databases of that same name.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from dataflows.couriers.line_protocol import SCHEMA

FOR_EVER: Final = 0


class Policy(NamedTuple):
    """One retention."""

    name: str
    hours: int  # 0: for ever
    shard_hours: int  # what InfluxDB drops at once when it has become too old
    words: str


POLICIES: Final = (
    Policy("second", 30 * 24, 24, "30 days: vitals by the second and what belongs to them"),
    Policy("wave", 48, 6, "48 hours: waveforms"),
    Policy("minute", 365 * 24, 7 * 24, "1 year: vitals by the minute, the ledger"),
    Policy("hour", 3650 * 24, 90 * 24, "10 years: vitals by the hour"),
    Policy("forever", FOR_EVER, 28 * 24, "for ever: alarms and their strips"),
)
DEFAULT: Final = POLICIES[0]  # where InfluxQL looks when a query names no policy


# Of each kind of row; all that one row becomes shares a retention.
RETENTION: Final[Mapping[str, str]] = {
    measurement.row.kind: {"alarm": "forever", "ledger": "minute", "wave": "wave"}.get(measurement.name, DEFAULT.name)
    for measurement in SCHEMA
}
