"""The points in an InfluxDB against the rows of a store: every point that a row makes is there, and no other."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import urllib3

from dataflows.couriers.line_protocol import points
from dataflows.couriers.schema import HISTORY, MEASUREMENTS, qualified
from dataflows.events import Row

MOST_SAID: Final = 5

Value = float | int | bool | str
Series = tuple[str, tuple[tuple[str, str], ...]]  # measurement and its tags


class Point(NamedTuple):
    """What InfluxDB knows a point by."""

    series: Series
    time_ns: int


class PointsCheck(NamedTuple):
    """How many points were looked at, and what is wrong, in words."""

    points: int
    missing: int
    extra: int
    different: int
    wrong: list[str]


class Influx:
    """Asks an InfluxDB 1.x.

    Parameters
    ----------
    port
        Of the server itself.
    database
        Where the couriers write.
    """

    def __init__(self, port: int, database: str) -> None:
        self._url, self._database = f"http://127.0.0.1:{port}/query", database
        self._http = urllib3.PoolManager(retries=False, timeout=120.0)

    def query(self, text: str) -> list[dict[str, Any]]:
        """Series that an InfluxQL statement gives, times in ns."""
        fields = {"q": text, "db": self._database, "epoch": "ns"}
        answer = json.loads(self._http.request("POST", self._url, fields=fields).data)["results"][0]
        if "error" in answer:
            raise ValueError(f"InfluxDB answers {answer['error']!r} to {text!r}")
        series: list[dict[str, Any]] = answer.get("series", [])
        return series

    def points(self, measurement: str, tag: str, value: str) -> Iterator[tuple[Point, dict[str, Value]]]:
        """Points of a measurement that have a tag."""
        where = f"\"{tag}\" = '{value}'"
        for series in self.query(f"SELECT * FROM {qualified(measurement)} WHERE {where} GROUP BY *"):  # noqa: S608 - our own names
            tags = tuple(sorted((name, text) for name, text in series["tags"].items() if text))
            columns = series["columns"][1:]
            for time_ns, *values in series["values"]:
                said = {name: value for name, value in zip(columns, values, strict=True) if value is not None}
                yield Point((measurement, tags), time_ns), said

    def values(self, measurement: str, tag: str) -> set[str]:
        """Every value of a tag."""
        found = self.query(f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{tag}"')
        return {value for series in found for _, value in series["values"]}


class _Group(NamedTuple):
    """Points that are asked for at once."""

    measurement: str
    tag: str
    value: str


def check_points(influx: Influx, rows: Iterable[Row]) -> PointsCheck:
    """Compare every point that the rows make with what is there; rows of one key come in the order of their making."""
    groups: dict[_Group, list[Row]] = {}
    for row in rows:
        for group in _groups(row):
            groups.setdefault(group, []).append(row)
    total = missing = extra = different = 0
    wrong = []
    for group, members in groups.items():
        wanted, torn = _wanted(group.measurement, members)
        found = dict(influx.points(*group))
        total += len(wanted)
        lacking = [point for point in wanted if point not in found]
        beyond = [point for point in found if point not in wanted and not _is_history(group, members, found[point])]
        unlike = [point for point in wanted if point in found and wanted[point] != found[point]]
        missing, extra, different = missing + len(lacking), extra + len(beyond), different + len(unlike) + len(torn)
        wrong += [f"two rows say different things of the point {torn[0]}, and {len(torn) - 1} more"] if torn else []
        wrong += [f"InfluxDB lacks {lacking[0]} of {group}, and {len(lacking) - 1} more"] if lacking else []
        wrong += (
            [f"InfluxDB has {beyond[0]} of {group}, which no row makes, and {len(beyond) - 1} more"] if beyond else []
        )
        wrong += [
            f"InfluxDB says {found[point]} at {point}, the row says {wanted[point]}, and {len(unlike) - 1} more differ"
            for point in unlike[:1]
        ]
    for measurement, tag in {(group.measurement, group.tag) for group in groups}:
        known = {group.value for group in groups if (group.measurement, group.tag) == (measurement, tag)}
        if strangers := influx.values(measurement, tag) - known:
            extra += len(strangers)
            wrong.append(f"InfluxDB has {measurement} of {sorted(strangers)[:MOST_SAID]}, of whom no row speaks")
    return PointsCheck(total, missing, extra, different, wrong[:MOST_SAID])


def _wanted(of: str, rows: Iterable[Row]) -> tuple[dict[Point, dict[str, Value]], list[Point]]:
    """Points of a measurement that rows make, and those that two make differently: InfluxDB can hold but one."""
    wanted: dict[Point, dict[str, Value]] = {}
    torn = []
    for row in rows:
        for measurement, tags, time_ns, fields in points(row):
            point = Point((measurement, tags), time_ns)
            if measurement == of and wanted.setdefault(point, fields) != fields:
                torn.append(point)
    return wanted, torn


def _is_history(group: _Group, rows: Iterable[Row], fields: dict[str, Value]) -> bool:
    """Whether a point that no row makes is of an earlier revision: which of them a courier meets is chance."""
    newest = max(getattr(row, "revision", 0) for row in rows)
    return group.measurement in HISTORY and int(fields.get("revision", newest)) < newest


def _groups(row: Row) -> list[_Group]:
    """Groups that a row has points in: by patient or device, by site, or by what a constant tag says."""
    groups = []
    for measurement in MEASUREMENTS.get(row.kind, ()):
        paths = {tag.name: tag.path for tag in measurement.tags}
        tag = next((name for name in ("device", "patient") if name in paths), "site")
        if measurement.constant_tags:
            groups.append(_Group(measurement.name, *measurement.constant_tags[0]))
        else:
            groups.append(_Group(measurement.name, tag, getattr(row, paths[tag])))
    return groups
