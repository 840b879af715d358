"""The page deploy/grafana/SCHEMA.md: what InfluxDB holds, written from the schema that the encoder reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataflows.couriers.cardinality import Assumed, described, lasts, series
from dataflows.couriers.measurement import RETENTIONS, Derived, Measurement, Retention
from dataflows.couriers.outlet import UNLIMITED
from dataflows.couriers.schema import EVERYTHING, HISTORY, qualified

PAGE: Final = Path(__file__).parent / "grafana" / "SCHEMA.md"
YEAR: Final = 365
LIMIT: Final = 1_000_000  # max-series-per-database of InfluxDB 1.x
_INTRODUCTION: Final = """\
# What InfluxDB holds

Written from `dataflows/couriers/schema.py` by `pytest tests/test_schema_page.py --write-golden`; do not edit.

Times are UTC, in nanoseconds. A value that could not be measured is no field: NaN is never written. A field keeps its
type for ever. Tags are what queries choose by; an empty one is left out. Patients are pseudonyms. Names of units are
[UCUM](https://ucum.org)'s; `1` is a share from 0 to 1. Queries name the retention policy: `SELECT hr FROM
"second"."vitals"`. InfluxDB 1.x has the policies in database `femtoward`; 2.x has a bucket `femtoward/NAME` for each,
which InfluxQL finds under the same names.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield from _retentions()
    for one in EVERYTHING:
        yield from _measurement(one)
    yield from _cardinality(Assumed())


def _retentions() -> Iterator[str]:
    yield "## Retention policies\n"
    yield from _table(
        ("policy", "kept", "measurements"), ([f"`{one.name}`", _kept(one), _held(one)] for one in RETENTIONS)
    )


def _kept(retention: Retention) -> str:
    if retention.days is None:
        return "for good"
    return f"{retention.days:g} days" if retention.days >= 7 else f"{24 * retention.days:g} hours"


def _held(retention: Retention) -> str:
    names = dict.fromkeys(one.name for one in EVERYTHING if one.retention == retention)
    return ", ".join(f"`{name}`" for name in names)


def _measurement(one: Measurement | Derived) -> Iterator[str]:
    constant = one.constant_tags if isinstance(one, Measurement) else ()
    of = "".join(f", {name} `{value}`" for name, value in constant)
    yield f"\n## {one.name}{of}\n"
    history = " Every revision leaves a point." if one.name in HISTORY else ""
    tags = ", ".join(f"`{name}`" for name in one.tag_names)
    yield f"{one.says[0].upper()}{one.says[1:]}.{history} `{qualified(one.name)}`; tags {tags}.\n"
    rows = ([f"`{field.name}`", _type(field.type), field.unit, field.says] for field in one.fields)
    yield from _table(("field", "type", "unit", ""), rows)


def _type(name: str) -> str:
    return "string" if name == "bytes" else name


def _cardinality(assumed: Assumed) -> Iterator[str]:
    """Say how many series a day brings and a year leaves, and what that supposes."""
    day, year = series(assumed), series(assumed, YEAR)
    yield "\n## Series\n"
    yield (
        f"A day with {assumed.patients:,} patients brings **{sum(day.values()):,} series**. InfluxDB keeps a series "
        f"until its last point is past retention, and alarms and strips for good: with {assumed.newcomers:,} new "
        f"patients a day there are **{sum(year.values()):,} after a year**. InfluxDB 1.x takes, as it comes, "
        f"{LIMIT:,} of them, which that hospital has after {lasts(assumed, LIMIT):,} days, and then no new patients: "
        f"{UNLIMITED} (`femtoward doctor` looks). 2.x has no such limit. Supposed:\n"
    )
    yield from _table(("", ""), ([says, f"{getattr(assumed, name):,}"] for name, says in described()))
    yield ""
    counts = ([f"`{name}`", f"{count:,}", f"{year[name]:,}"] for name, count in day.items())
    yield from _table(("measurement", "series after a day", "after a year"), counts)


def _table(heads: tuple[str, ...], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
