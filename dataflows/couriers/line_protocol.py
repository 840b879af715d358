"""Rows as InfluxDB line protocol: the schema as data, and one encoder that reads it.

Tags are few and of low cardinality: what queries choose by. Everything else is a field, and a field keeps one type
for ever, since InfluxDB refuses a point whose field has changed its type. NaN is left out: not measured is not zero.
"""

import base64
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from dataflows.events import AlarmEvent, Answer, Bad, DeviceStatus, Ledger, Row, Vitals, Wave

WAVE_RATE_HZ = 125
WAVE_BIN = 5  # samples; the lowest and the highest of each stay: 50 points a second out of 125
NS = 1_000_000_000
HOUR_S = 3600

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
            *_same("float", coverage="0..1", quality="0..1"),
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
            *_same("integer", revision="counts changes"),
        ),
        lambda row: row.last_seen_ns,
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
            *_same("integer", offset="in the journal", item="within a bundle", size="bytes"),
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
    # The fields of a wave are those of its points: see `_wave_lines`.
    Measurement(
        "wave",
        Wave,
        (_SITE, _PATIENT, Tag("stream", "stream")),
        (Field("value", "samples", "float", "the stream's"),),
        lambda row: row.second * NS,
    ),
)


def lines(row: Row) -> list[str]:
    r"""Lines of a row; none for a kind that has no measurement, or a row that has no time yet.

    Examples
    --------
    >>> from dataflows.events import Ledger
    >>> lines(Ledger("north wing", "w1", 472_222, 14_400, 14_397, 1, 2, 0, 0, revision=9))[0][:61]
    'ledger,site=north\\ wing,device=w1 published=14400i,stored=143'
    """
    encoder = _ENCODERS.get(row.kind)
    return [] if encoder is None else encoder(row)


def escape_tag(value: str) -> str:
    """Escape a tag's value; what line protocol cannot carry there (controls, a backslash at the end) becomes ``_``."""
    if value.isidentifier():  # most are plain words
        return value
    value = "".join("_" if ord(char) < 0x20 or char == "\x7f" else char for char in value)
    bare = value.rstrip("\\")
    value = bare + "_" * (len(value) - len(bare))
    return value.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


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


def _encoder(measurement: Measurement) -> Callable[[Any], list[str]]:
    head = ",".join((measurement.name, *(f"{name}={escape_tag(value)}" for name, value in measurement.constant_tags)))
    tags = [(f",{tag.name}=", attrgetter(tag.path)) for tag in measurement.tags]
    values = attrgetter(*(field.path for field in measurement.fields), "kind")  # two at least: always a tuple
    fields = [(f"{field.name}=", _WRITERS[field.type]) for field in measurement.fields]

    def start(row: Row) -> str:
        return head + "".join([name + escape_tag(value) for name, get in tags if (value := get(row))])

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
        return list(_wave_lines(start(row), measurement.time_ns(row), row))

    return encode_wave if measurement.row is Wave else encode


def _wave_lines(start: str, t0_ns: int, row: Wave) -> Iterator[str]:
    """Lowest and highest sample of each bin, in the order in which they came: no beat is thinned away."""
    counts = np.frombuffer(row.samples, "<i2")
    if not len(counts) or t0_ns <= 0 or not math.isfinite(row.scale):
        return
    whole = np.pad(counts, (0, -len(counts) % WAVE_BIN), mode="edge").reshape(-1, WAVE_BIN)
    first = np.arange(len(whole)) * WAVE_BIN
    # A set, sorted: a flat bin gives one point. The first of equals counts, so the padding is never chosen.
    chosen = np.unique(np.concatenate([first + whole.argmin(axis=1), first + whole.argmax(axis=1)]))
    for at, value in zip(chosen.tolist(), (counts[chosen] * row.scale).tolist(), strict=True):
        yield f"{start} value={value!r} {t0_ns + at * NS // WAVE_RATE_HZ}"


_ENCODERS: Mapping[str, Callable[[Any], list[str]]] = {
    measurement.row.kind: _encoder(measurement) for measurement in SCHEMA
}
