"""Rows as InfluxDB line protocol: the schema as data, and one encoder that reads it.

Tags are few and of low cardinality: what queries choose by. Everything else is a field, and a field keeps one type
for ever, since InfluxDB refuses a point whose field has changed its type. NaN is left out: not measured is not zero.

What InfluxDB must hold in the end follows from the store: the points of all of its rows (`points`), neither more nor
fewer, but for `HISTORY`: there the points of earlier revisions stay beside those of the newest.
"""

import base64
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from dataflows.events import AlarmEvent, Answer, Bad, DeviceStatus, Ledger, Removal, Row, Vitals, Wave

WAVE_RATE_HZ = 125
WAVE_BIN = 5  # samples; the lowest and the highest of each stay: 25 points a second
NS = 1_000_000_000
MS = 1_000_000
HOUR_S = 3600
HISTORY = frozenset({"device"})  # measurements whose rows are revised, and leave a point with each revision

FieldType = Literal["float", "integer", "boolean", "string", "bytes"]  # bytes go out as a base64 string


class Tag(NamedTuple):
    """A tag and the attribute of the row that it comes from; an empty one is left out."""

    name: str
    path: str


class Field(NamedTuple):
    """A field, the attribute of the row that it comes from, its type for ever, and its unit (UCUM) or meaning."""

    name: str
    path: str
    type: FieldType
    unit: str


@dataclass(frozen=True)
class Measurement:
    """One measurement: which rows become it, when they are, and what they say.

    Rows that agree in measurement, tags and time are one point to InfluxDB: the later overwrites the earlier.
    """

    name: str
    row: type[Row]
    tags: tuple[Tag, ...]
    fields: tuple[Field, ...]
    time_ns: Callable[[Any], int]  # 0 or less: the row has no time yet and is not written
    constant_tags: tuple[tuple[str, str], ...] = ()


def _reading(name: str, unit: str) -> tuple[Field, Field, Field]:
    return (
        Field(name, f"{name}.value", "float", unit),
        Field(f"{name}_u", f"{name}.u", "float", f"{unit}, standard uncertainty"),
        Field(f"{name}_quality", f"{name}.quality", "float", "0..1"),
    )


def _same(field_type: FieldType, **units: str) -> tuple[Field, ...]:
    return tuple(Field(name, name, field_type, unit) for name, unit in units.items())


_SITE = Tag("site", "site")
_PATIENT = Tag("patient", "patient")
_DEVICE = Tag("device", "device")

SCHEMA: tuple[Measurement, ...] = (
    Measurement(
        "vitals",
        Vitals,
        (_SITE, _PATIENT),
        (
            *_reading("hr", "/min"),
            *_reading("rr_interval", "ms"),
            *_reading("rmssd", "ms"),
            *_reading("sdnn", "ms"),
            *_reading("pulse", "/min"),
            *_reading("temp", "Cel"),
            *_same("float", coverage="0..1", quality="0..1", clock_offset_ms="ms, corrected minus raw"),
            *_same("string", reason="why the quality is not 1", source="what hr was made from"),
            *_same(
                "boolean", settling="filters restarted a short time ago", late="evidence older than 30 s on arrival"
            ),
        ),
        lambda row: row.second * NS,
    ),
    Measurement(
        "alarm",
        AlarmEvent,
        (
            _SITE,
            _PATIENT,
            Tag("condition", "condition"),
            Tag("kind", "category"),
            Tag("priority", "priority"),
            Tag("state", "state"),
        ),
        (
            *_same("string", id="the alarm's"),
            *_same("integer", step="transition, from 0"),
            *_same("integer", onset_ns="unix time", event_ns="unix time", arrival_ns="unix time"),
            *_same("float", value="unit of the condition", limit="unit of the condition"),
            *_same("float", quality="0..1", confidence="0..1"),
            *_same("string", algorithm="", version="", reason="in words", actor="who acknowledged", note=""),
            Field("strip", "strip", "bytes", "little-endian int16, 125 Hz, base64"),
            Field("strip_scale", "strip_scale", "float", "unit per count"),
        ),
        # Two alarms of one patient and condition may change at one moment (two devices at one tick): their key, below
        # the microsecond, keeps them apart. The exact time is a field.
        lambda row: row.event_ns - row.event_ns % 1000 + zlib.crc32(row.key.encode()) % 1000,
    ),
    Measurement(
        "device",
        DeviceStatus,
        (_SITE, _DEVICE, _PATIENT),
        (
            *_same("string", model="", state="online, offline, zeroing, calibrating, lost", reason="in words"),
            *_same("boolean", simulated=""),
            *_same("float", clock_offset_ms="ms, corrected minus raw", noise_floor="unit / sqrt(Hz)"),
            *_same("integer", revision="counts changes", last_seen_ns="unix time"),
        ),
        # A device that is silent goes on to change: the revision, below the millisecond, keeps its points apart.
        lambda row: row.last_seen_ns and row.last_seen_ns - row.last_seen_ns % MS + row.revision % MS,
    ),
    Measurement(
        "ledger",
        Ledger,
        (_SITE, _DEVICE),
        _same(
            "integer",
            published="packets, by sequence number",
            stored="packets",
            quarantined="packets",
            lost="packets",
            away="packets, of the lost: while ingest or the broker was away",
            repeated="packets",
            late="packets, of the stored",
            revision="counts changes",
        ),
        lambda row: row.hour * HOUR_S * NS,
    ),
    Measurement(
        "pipeline",
        Bad,
        (_SITE, Tag("condition", "reason")),
        (
            *_same("integer", offset="in the journal", item="within a bundle", size="bytes", count="messages"),
            *_same("string", topic="", detail="what came, what was expected, what to do"),
        ),
        # The messages of one bundle arrive at once and must not overwrite each other.
        lambda row: row.arrival_ns + row.item,
        constant_tags=(("kind", "bad"),),
    ),
    Measurement(
        "pipeline",
        Answer,
        (_SITE,),
        (
            *_same("string", command="its id", actor="who gave it", detail="what became of it"),
            *_same("boolean", done=""),
        ),
        lambda row: row.arrival_ns,
        constant_tags=(("kind", "answer"),),
    ),
    Measurement(
        "removal",
        Removal,
        (_SITE, Tag("kind", "what")),
        (
            *_same("integer", first="unix time, s; of the journal: offset", end="the same, exclusive"),
            *_same("integer", size="bytes", offset="in the journal"),
            *_same("string", why="in words"),
        ),
        lambda row: row.arrival_ns,
    ),
    # The fields of a wave are those of its points: see `_bins`.
    Measurement(
        "wave",
        Wave,
        (_SITE, _PATIENT, Tag("stream", "stream")),
        (Field("lo", "samples", "float", "the stream's"), Field("hi", "samples", "float", "the stream's")),
        lambda row: row.second * NS,
    ),
)


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
    encoder = _ENCODERS.get(row.kind)
    return [] if encoder is None else encoder(row)


def points(row: Row) -> list[Point]:
    """Points that InfluxDB holds of a row once it is delivered: what `lines` says, as values."""
    measurement = _MEASUREMENTS.get(row.kind)
    time_ns = 0 if measurement is None else measurement.time_ns(row)
    if measurement is None or time_ns <= 0:
        return []
    named = [(tag.name, bare_tag(attrgetter(tag.path)(row))) for tag in measurement.tags]
    tags = tuple(sorted((*measurement.constant_tags, *((name, value) for name, value in named if value))))
    if isinstance(row, Wave):
        pairs = zip(*(map(float, map(_SHORT.__mod__, bound)) for bound in _bins(row)), strict=True)
        return [
            Point(measurement.name, tags, time_ns + n * _BIN_NS, {"lo": low, "hi": high})
            for n, (low, high) in enumerate(pairs)
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

    def encode_wave(row: Wave) -> list[str]:
        time_ns, (low, high) = measurement.time_ns(row), _bins(row)
        if time_ns <= 0 or not low:
            return []
        said: list[float] = [0] * (3 * len(low))
        said[0::3], said[1::3], said[2::3] = low, high, range(time_ns, time_ns + len(low) * _BIN_NS, _BIN_NS)
        line = f"{start(row).replace('%', '%%')} lo={_SHORT},hi={_SHORT} %d"
        return ("\n".join([line] * len(low)) % tuple(said)).split("\n")  # the quickest of many ways

    return encode_wave if measurement.row is Wave else encode


def _bins(row: Wave) -> tuple[list[float], list[float]]:
    """Lowest and highest value of each bin of a wave, so that no beat is thinned away."""
    counts = np.frombuffer(row.samples, "<i2")
    if not len(counts) or not math.isfinite(row.scale * _LARGEST):
        return [], []
    if len(counts) % WAVE_BIN:
        counts = np.pad(counts, (0, -len(counts) % WAVE_BIN), mode="edge")
    bins = counts.reshape(-1, WAVE_BIN)
    return (bins.min(axis=1) * row.scale).tolist(), (bins.max(axis=1) * row.scale).tolist()


_LARGEST = 1 << 15  # count
_BIN_NS = NS * WAVE_BIN // WAVE_RATE_HZ
_SHORT = "%.6g"  # tells 16 bits apart, in less than half the text
_MEASUREMENTS: Mapping[str, Measurement] = {measurement.row.kind: measurement for measurement in SCHEMA}
_ENCODERS: Mapping[str, Callable[[Any], list[str]]] = {
    measurement.row.kind: _encoder(measurement) for measurement in SCHEMA
}
