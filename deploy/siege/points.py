"""The points in an InfluxDB against the rows of a store: every point that a row makes is there, and no other."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import urllib3

from dataflows.couriers.line_protocol import lines
from dataflows.events import AlarmEvent, DeviceStatus, Ledger, Removal, Row, Vitals, Wave

MOST_SAID: Final = 5
# A device's status has the time of its newest packet: which of its revisions a courier meets is chance, but the last.
MAY_HAVE_MORE: Final = ("device",)

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


def parse_line(line: str) -> tuple[Point, dict[str, Value]]:
    r"""Take a line of line protocol apart.

    Examples
    --------
    >>> parse_line('alarm,site=a\\ b reason="x, \\"y\\"",step=3i,late=false,value=1.5 17')[1]
    {'reason': 'x, "y"', 'step': 3, 'late': False, 'value': 1.5}
    """
    head, body = _cut(line, " ")
    said, _, time_ns = body.rpartition(" ")
    fields = {_bare(name): _value(text) for name, text in (_cut(field, "=") for field in _split(said, ","))}
    return Point(_series(head), int(time_ns)), fields


@lru_cache(maxsize=1024)  # points of one series come together
def _series(head: str) -> Series:
    measurement, *tags = _split(head, ",")
    return measurement, tuple(sorted((_bare(a), _bare(b)) for a, b in (_cut(tag, "=") for tag in tags)))


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
        for series in self.query(f'SELECT * FROM "{measurement}" WHERE {where} GROUP BY *'):  # noqa: S608 - our own names
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
        if (group := _group(row)) is not None:
            groups.setdefault(group, []).append(row)
    total = missing = extra = different = 0
    wrong = []
    for group, members in groups.items():
        wanted: dict[Point, dict[str, Value]] = {}
        for row in members:
            for line in lines(row):
                point, fields = parse_line(line)
                wanted.setdefault(point, {}).update(fields)
        found = dict(influx.points(*group))
        total += len(wanted)
        lacking = [point for point in wanted if point not in found]
        beyond = [] if group.measurement in MAY_HAVE_MORE else [point for point in found if point not in wanted]
        unlike = [point for point in wanted if point in found and wanted[point] != found[point]]
        missing, extra, different = missing + len(lacking), extra + len(beyond), different + len(unlike)
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


def _group(row: Row) -> _Group | None:
    match row:
        case Vitals() | Wave() | AlarmEvent():
            return _Group(row.kind, "patient", row.patient)
        case DeviceStatus() | Ledger():
            return _Group(row.kind, "device", row.device)
        case Removal():
            return _Group("removal", "site", row.site)
        case _ if row.kind in {"bad", "answer"}:
            return _Group("pipeline", "kind", row.kind)
        case _:
            return None


def _value(text: str) -> Value:
    if text[0] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in {"true", "false"}:
        return text == "true"
    return int(text[:-1]) if text[-1] == "i" else float(text)


def _bare(text: str) -> str:
    return text if "\\" not in text else text.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ")


def _cut(text: str, at: str) -> tuple[str, str]:
    """Cut at the first mark that is neither escaped nor quoted."""
    parts = _split(text, at, most=1)
    return parts[0], parts[1]


def _split(text: str, at: str, most: int = -1) -> list[str]:
    """Split at marks that are neither escaped nor quoted."""
    if "\\" not in text and '"' not in text:  # nearly always, and a hundred times as fast
        return text.split(at, most)
    parts: list[str] = []
    begin, quoted, index = 0, False, 0
    while index < len(text) and len(parts) != most:
        if text[index] == "\\":
            index += 1
        elif text[index] == '"':
            quoted = not quoted
        elif text[index] == at and not quoted:
            parts.append(text[begin:index])
            begin = index + 1
        index += 1
    return [*parts, text[begin:]]
