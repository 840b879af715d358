"""InfluxQL out of one function, which knows every measurement, field and tag and refuses what does not exist.

Plain InfluxQL only: InfluxDB 1.x, 2.x and 3.x all answer it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dataflows.items import WARD_KEY, name_of, site_of
from deploy.grafana.measurements import MEASUREMENTS, Known, qualified

SHOWN = "$timeFilter"  # the time that the dashboard shows
INTERVAL = "$__interval"  # one point per pixel or so
# Alarms that concern no single patient: of the broker, the disk, the clock. They belong to no site that can be chosen.
WHOLE_WARD = f"(\"site\" = '{site_of(WARD_KEY)}' AND \"patient\" = '{name_of(WARD_KEY)}')"
_NAME = re.compile(r'"([^"]+)"')


class Query(NamedTuple):
    """One statement, and the names of what it answers with."""

    text: str
    columns: tuple[str, ...]
    tags: tuple[str, ...]


def select(  # noqa: PLR0913 - each is a clause of the statement
    origin: str | Query | Sequence[Query],
    columns: Mapping[str, str],
    *,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    every: str = "",
    fill: str = "",
    span: str = SHOWN,
    tail: str = "",
) -> Query:
    r"""Build one statement.

    Parameters
    ----------
    origin
        A measurement, or a query or several whose answers are asked in their turn.
    columns
        Expressions by the name that they are to have; fields and tags stand in double quotes.
    where
        Conditions that must all hold; fields and tags stand in double quotes.
    by
        Tags that each value of which gets a series of its own.
    every
        Length of the steps of time, or nothing: then each point counts, or all of them make one.
    fill
        What stands in a step without points: none, null, previous, 0.
    span
        Condition on the time; empty: that of `origin`.
    tail
        ORDER BY and LIMIT.

    Raises
    ------
    ValueError
        A name that the measurement does not have.

    Examples
    --------
    >>> select("vitals", {"hr": 'mean("hr")'}, by=["patient"], every="1m", fill="none").text
    'SELECT mean("hr") AS "hr" FROM "second"."vitals" WHERE $timeFilter GROUP BY time(1m), "patient" fill(none)'
    >>> select("vitals", {"hr": 'mean("heart")'})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: vitals has no 'heart': it has ..., clock_offset_ms, coverage, ...
    """
    inner = () if isinstance(origin, str) else (origin,) if isinstance(origin, Query) else tuple(origin)
    known = _names_of(origin) if isinstance(origin, str) else {name for q in inner for name in (*q.columns, *q.tags)}
    owner = origin if isinstance(origin, str) else "the inner query"
    _check(owner, known, [*columns.values(), *where, *(f'"{tag}"' for tag in by)])
    conditions = " AND ".join([*([span] if span else []), *where])
    groups = ", ".join([*([f"time({every})"] if every else []), *(f'"{tag}"' for tag in by)])
    said = [
        "SELECT " + ", ".join(_named(name, expression) for name, expression in columns.items()),
        "FROM " + (qualified(origin) if isinstance(origin, str) else ", ".join(f"({query.text})" for query in inner)),
        f"WHERE {conditions}" if conditions else "",
        f"GROUP BY {groups}" if groups else "",
        f"fill({fill})" if fill else "",
        tail,
    ]
    return Query(" ".join(part for part in said if part), tuple(columns), tuple(by))


def stepped(
    measurement: str, columns: Mapping[str, str], *, where: Sequence[str], by: Sequence[str], fill: str = "none"
) -> Query:
    """Build a statement for values over time, gathered over each step of a panel, `by` these tags.

    Examples
    --------
    >>> stepped("vitals", {"hr": 'mean("hr")'}, where=[], by=["patient"]).text.partition("WHERE ")[2]
    '$timeFilter GROUP BY time($__interval), "patient" fill(none)'
    """
    return select(measurement, columns, where=where, by=by, every=INTERVAL, fill=fill)


def tag_values(tag: str, measurement: str, field: str, *, where: Sequence[str] = (), span: str) -> Query:
    """Build a statement for the values that a tag has had of late.

    Not ``SHOW TAG VALUES``, which knows no retention policy: InfluxDB 2 looks for it in the database's default one, and
    refuses it where there are several buckets ``DATABASE/NAME``, each of which it takes for the default.

    Parameters
    ----------
    tag, measurement
        Whose values.
    field
        One that every point of the measurement has.
    where
        Conditions that must all hold.
    span
        How far back.
    """
    if tag not in _known(measurement).tags:
        raise ValueError(f"{measurement} has no tag {tag!r}: it has {', '.join(sorted(_known(measurement).tags))}")
    newest = select(measurement, {"any": f'last("{field}")', "value": f'"{tag}"'}, where=where, by=[tag], span=span)
    return select(newest, {"value": 'distinct("value")'}, span="")


def chosen(*variables: str) -> list[str]:
    """Conditions that hold a query to what is chosen; a choice of All takes in those that lack the tag, too."""
    return [f'"{name}" =~ /^${name}$/' for name in variables]


def chosen_or_whole(*variables: str) -> list[str]:
    """As `chosen`, of alarms: those of the whole ward stay, whatever is chosen."""
    return [f"({WHOLE_WARD} OR ({' AND '.join(chosen(*variables))}))"]


def fields(*names: str) -> dict[str, str]:
    """Fields or tags as they are, under their own names."""
    return {name: f'"{name}"' for name in names}


def names_in(text: str) -> set[str]:
    """Every name in double quotes."""
    return set(_NAME.findall(text))


def _named(name: str, expression: str) -> str:
    return expression if expression == f'"{name}"' else f'{expression} AS "{name}"'


def _names_of(measurement: str) -> set[str]:
    known = _known(measurement)
    return {*known.tags, *known.fields}


def _known(measurement: str) -> Known:
    if measurement not in MEASUREMENTS:
        raise ValueError(f"there is no measurement {measurement!r}: there are {', '.join(sorted(MEASUREMENTS))}")
    return MEASUREMENTS[measurement]


def _check(owner: str, known: set[str], texts: Iterable[str]) -> None:
    for name in sorted(set().union(*map(names_in, texts))):
        if name not in known:
            raise ValueError(f"{owner} has no {name!r}: it has {', '.join(sorted(known))}")
