"""How a server is told for how long to keep what: retention policies of 1.x, buckets of 2.x.

InfluxDB 1.x: retention policies of one database. 2.x: buckets ``DATABASE/NAME``, which InfluxQL finds as database and
policy by themselves. 3.x: databases of that same name.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from dataflows.couriers.measurement import DEFAULT, RETENTIONS

# What InfluxDB drops at once when it has become too old (hours): not much longer than needed, nor too many files.
_SHARD_HOURS: Final[Mapping[str, int]] = {
    "second": 24,
    "wave": 6,
    "minute": 7 * 24,
    "hour": 90 * 24,
    "forever": 28 * 24,
}


class Policy(NamedTuple):
    """One retention, as a server is told of it."""

    name: str
    hours: int  # 0: for ever
    shard_hours: int
    is_default: bool  # where InfluxQL looks when a query names no policy

    @property
    def words(self) -> str:
        """For how long."""
        return lasting(self.hours)


def lasting(hours: int) -> str:
    """Words for a time, 0 being for ever.

    Examples
    --------
    >>> lasting(720), lasting(7), lasting(0)
    ('for 30 days', 'for 7 h', 'for ever')
    """
    if not hours:
        return "for ever"
    return f"for {hours} h" if hours % 24 else f"for {hours // 24} days"


POLICIES: Final = tuple(
    Policy(one.name, round(24 * one.days) if one.days else 0, _SHARD_HOURS[one.name], one == DEFAULT)
    for one in RETENTIONS
)
