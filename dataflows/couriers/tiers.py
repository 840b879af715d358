"""Vitals thinned out, by the minute and by the hour: what a point says of its period, whoever makes it."""

import math
from collections.abc import Iterable
from operator import attrgetter
from typing import Final, NamedTuple

from dataflows.couriers.line_protocol import escape_tag
from dataflows.couriers.schema import NS, RETENTION_OF
from dataflows.events import Vitals


class Tier(NamedTuple):
    """One measurement of thinned vitals: a point a period, at its beginning."""

    measurement: str
    step_s: int
    reach_s: int  # how far back InfluxDB looks when it thins out by itself

    @property
    def policy(self) -> str:
        """Where it is kept."""
        return RETENTION_OF[self.measurement].name


MINUTE: Final = Tier("vitals_1m", 60, 600)
HOUR: Final = Tier("vitals_1h", 3600, 7200)
TIERS: Final = (MINUTE, HOUR)

# Of each of these fields of `vitals`: NAME is the mean over the period, NAME_min and NAME_max its bounds.
FIELDS: Final = ("hr", "pulse", "rmssd", "sdnn", "rr_interval", "temp", "resp", "spo2", "quality", "coverage")
_PLAIN: Final = frozenset({"quality", "coverage"})  # the others are readings
_VALUES: Final = attrgetter(*(name if name in _PLAIN else f"{name}.value" for name in FIELDS))


def lines(tier: Tier, start_s: int, rows: Iterable[Vitals]) -> list[str]:
    """Lines of one patient's period: one for each ward that the patient lay in meanwhile; seconds may lack.

    Parameters
    ----------
    tier
        Which.
    start_s
        Unix time at which the period begins (s).
    rows
        Vitals of one patient in that period, in any order.

    Examples
    --------
    >>> from dataflows.events import Reading
    >>> no = Reading()
    >>> seconds = [
    ...     Vitals("north", "p1", 60 + n, Reading(bpm), no, no, no, no, no, 1.0, 0.5, "", "mcg", False, False)
    ...     for n, bpm in enumerate((60.0, 66.0, math.nan))
    ... ]
    >>> lines(MINUTE, 60, seconds)[0][:59]
    'vitals_1m,patient=p1,site=north hr=63.0,hr_min=60.0,hr_max='
    """
    wards: dict[str, list[Vitals]] = {}
    for row in rows:
        wards.setdefault(row.ward, []).append(row)
    return [line for ward, members in sorted(wards.items()) if (line := _line(tier, start_s, ward, members))]


def _line(tier: Tier, start_s: int, ward: str, rows: list[Vitals]) -> str:
    said = []
    for name, values in zip(FIELDS, zip(*map(_VALUES, rows), strict=True), strict=True):
        known = [value for value in values if math.isfinite(value)]
        if known:
            mean = math.fsum(known) / len(known)  # exact, so that the order of the rows is nothing
            said.append(f"{name}={mean!r},{name}_min={min(known)!r},{name}_max={max(known)!r}")
    if not said:
        return ""
    first = rows[0]
    tags = f"patient={escape_tag(first.patient)},site={escape_tag(first.site)}"
    tags += f",ward={escape_tag(ward)}" if ward else ""
    return f"{tier.measurement},{tags} {','.join(said)} {start_s * NS}"
