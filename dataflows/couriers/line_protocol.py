"""Rows as InfluxDB line protocol: one encoder that reads the schema. NaN is left out: not measured is not zero.

What InfluxDB must hold in the end follows from the store: the points of all of its rows (`points`), neither more nor
fewer, but for `schema.HISTORY`: there the points of earlier revisions stay beside those of the newest.
"""

import base64
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.couriers.measurement import FieldType, Measurement, Retention, Shape
from dataflows.couriers.schema import MEASUREMENTS, NS, STRIP_STEP_NS
from dataflows.events import AlarmEvent, Row, Wave

WAVE_RATE_HZ: Final = 125
WAVE_BIN: Final = 5  # samples; the lowest and the highest of each stay: 25 points a second


class Point(NamedTuple):
    """What InfluxDB holds; measurement, tags and time name it."""

    measurement: str
    tags: tuple[tuple[str, str], ...]  # by name
    time_ns: int
    fields: dict[str, float | int | bool | str]


def lines(row: Row) -> list[str]:
    r"""Lines of a row; none for a kind that has no measurement, or a row that has no time yet.

    Examples
    --------
    >>> from dataflows.events import Ledger
    >>> lines(Ledger("north wing", "w1", 472_222, 14_400, 14_397, 1, 2, 0, 0, 0, revision=9))[0][:61]
    'ledger,device=w1,site=north\\ wing published=14400i,stored=143'
    """
    encoders = _ENCODERS.get(row.kind, ())
    return encoders[0][1](row) if len(encoders) == 1 else [line for _, encode in encoders for line in encode(row)]


def routed(row: Row) -> Iterator[tuple[Retention, list[str]]]:
    """Lines of a row by where they are kept."""
    for retention, encode in _ENCODERS.get(row.kind, ()):
        if said := encode(row):
            yield retention, said


def points(row: Row) -> list[Point]:
    """Points that InfluxDB holds of a row once it is delivered: what `lines` says, as values."""
    return [point for measurement in MEASUREMENTS.get(row.kind, ()) for point in _points(measurement, row)]


def _points(measurement: Measurement, row: Row) -> list[Point]:
    time_ns = measurement.time_ns(row)
    if time_ns <= 0:
        return []
    named = [(tag.name, bare_tag(attrgetter(tag.path)(row))) for tag in measurement.tags]
    tags = tuple(sorted((*measurement.constant_tags, *((name, value) for name, value in named if value))))
    if measurement.shape != "one":
        names, step_ns = [field.name for field in measurement.fields], _STEP_NS[measurement.shape]
        columns = [list(map(float, map(_SHORT.__mod__, column))) for column in _COLUMNS[measurement.shape](row)]
        return [
            Point(measurement.name, tags, time_ns + n * step_ns, dict(zip(names, values, strict=True)))
            for n, values in enumerate(zip(*columns, strict=True))
        ]
    fields = {
        field.name: value
        for field in measurement.fields
        if (value := _VALUES[field.type](attrgetter(field.path)(row))) is not None
    }
    return [Point(measurement.name, tags, time_ns, fields)] if fields else []


@lru_cache(maxsize=10_000)
def escape_tag(value: str) -> str:
    """Escape a tag's value."""
    return bare_tag(value).replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def bare_tag(value: str) -> str:
    """Return a tag's value as it is kept: what cannot be carried (controls, a last backslash) becomes ``_``."""
    value = "".join("_" if ord(char) < 0x20 or char == "\x7f" else char for char in value)
    bare = value.rstrip("\\")
    return bare + "_" * (len(value) - len(bare))


def escape_string(value: str) -> str:
    """Escape what stands between the quotes of a string field; newlines may stand there as they are."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _float(value: float) -> str | None:
    return repr(float(value)) if math.isfinite(value) else None


_WRITERS: Mapping[FieldType, Callable[[Any], str | None]] = {
    "float": _float,
    "integer": lambda value: f"{value}i",
    "boolean": lambda value: "true" if value else "false",
    "string": lambda value: f'"{escape_string(value)}"',
    "bytes": lambda value: f'"{base64.b64encode(value).decode()}"' if value else None,
}


_VALUES: Mapping[FieldType, Callable[[Any], float | int | bool | str | None]] = {
    "float": lambda value: float(value) if math.isfinite(value) else None,
    "integer": int,
    "boolean": bool,
    "string": str,
    "bytes": lambda value: base64.b64encode(value).decode() or None,
}


def _encoder(measurement: Measurement) -> Callable[[Any], list[str]]:
    constant: list[tuple[str, str, Callable[[Row], str] | None]] = [
        (name, f",{name}={escape_tag(value)}", None) for name, value in measurement.constant_tags
    ]
    # In the order of their names, which spares the server sorting them in every line.
    tags = sorted([*constant, *((tag.name, f",{tag.name}=", attrgetter(tag.path)) for tag in measurement.tags)])
    values = attrgetter(*(field.path for field in measurement.fields), "kind")  # two at least: always a tuple
    fields = [(f"{field.name}=", _WRITERS[field.type]) for field in measurement.fields]
    short = ",".join(f"{field.name}={_SHORT}" for field in measurement.fields)

    def start(row: Row) -> str:
        said = [measurement.name]
        for _, name, get in tags:
            if get is None:
                said.append(name)
            elif value := get(row):
                said.append(name + escape_tag(value))
        return "".join(said)

    def encode(row: Row) -> list[str]:
        time_ns = measurement.time_ns(row)
        if time_ns <= 0:
            return []
        said = [
            name + text
            for (name, write), value in zip(fields, values(row), strict=False)
            if (text := write(value)) is not None
        ]
        return [f"{start(row)} {','.join(said)} {time_ns}"] if said else []

    def encode_many(row: Row) -> list[str]:
        time_ns, columns = measurement.time_ns(row), _COLUMNS[measurement.shape](row)
        n, width, step_ns = len(columns[0]), len(columns) + 1, _STEP_NS[measurement.shape]
        if time_ns <= 0 or not n:
            return []
        said: list[float] = [0] * (width * n)
        for i, column in enumerate(columns):
            said[i::width] = column
        said[width - 1 :: width] = range(time_ns, time_ns + n * step_ns, step_ns)
        line = f"{start(row).replace('%', '%%')} {short} %d"
        return ("\n".join([line] * n) % tuple(said)).split("\n")  # the quickest of many ways

    return encode if measurement.shape == "one" else encode_many


def _extremes(row: Wave) -> tuple[list[float], list[float]]:
    """Lowest and highest value of each bin of a wave, so that no beat is thinned away."""
    counts = _counts(row.samples, row.scale)
    if len(counts) % WAVE_BIN:
        counts = np.pad(counts, (0, -len(counts) % WAVE_BIN), mode="edge")
    bins = counts.reshape(-1, WAVE_BIN)
    return (bins.min(axis=1) * row.scale).tolist(), (bins.max(axis=1) * row.scale).tolist()


def _samples(row: AlarmEvent) -> tuple[list[float]]:
    """Every sample of the strip of an alarm."""
    return ((_counts(row.strip, row.strip_scale) * row.strip_scale).tolist(),)


def _counts(octets: bytes, scale: float) -> NDArray[np.int16]:
    """Samples as they were stored; none if they are beyond all numbers."""
    return np.frombuffer(octets[: len(octets) // 2 * 2] if math.isfinite(scale * _LARGEST) else b"", "<i2")


_LARGEST = 1 << 15  # count
_SHORT = "%.6g"  # tells 16 bits apart, in less than half the text
_COLUMNS: Mapping[Shape, Callable[[Any], tuple[list[float], ...]]] = {"extremes": _extremes, "samples": _samples}
_STEP_NS: Mapping[Shape, int] = {"extremes": NS * WAVE_BIN // WAVE_RATE_HZ, "samples": STRIP_STEP_NS}
_ENCODERS: Mapping[str, list[tuple[Retention, Callable[[Any], list[str]]]]] = {
    kind: [(measurement.retention, _encoder(measurement)) for measurement in measurements]
    for kind, measurements in MEASUREMENTS.items()
}
