"""What InfluxDB holds, by measurement: out of the schema that its rows are encoded by, and of what is made there."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dataflows.couriers.line_protocol import SCHEMA


class Known(NamedTuple):
    """A measurement as queries see it."""

    policy: str  # retention policy that holds it
    tags: tuple[str, ...]
    fields: Mapping[str, str]  # unit or meaning, by name


def source(measurement: str) -> str:
    """Name of a measurement with its retention policy, as FROM takes it."""
    return f'"{MEASUREMENTS[measurement].policy}"."{measurement}"'


def unit(measurement: str, field: str) -> str:
    """Unit of a field for Grafana, out of the schema's (UCUM); empty: it has none that can be shown."""
    said = MEASUREMENTS[measurement].fields[field].partition(",")[0]
    return _UNITS.get(said, "")


# UCUM, or the schema's word for it, as Grafana calls it.
_UNITS = {
    "/min": "suffix: /min",
    "ms": "ms",
    "s": "s",
    "Cel": "celsius",
    "0..1": "percentunit",
    "packets": "short",
    "messages": "short",
    "rows": "short",
    "bytes": "bytes",
    "unit / sqrt(Hz)": "suffix: /√Hz",
}


def _stored() -> Iterator[tuple[str, Known]]:
    for name in dict.fromkeys(measurement.name for measurement in SCHEMA):
        same = [measurement for measurement in SCHEMA if measurement.name == name]
        tags = {tag.name for one in same for tag in one.tags} | {tag for one in same for tag, _ in one.constant_tags}
        fields = {field.name: field.unit for one in same for field in one.fields}
        more_tags, more = _PENDING.get(name, ((), {}))
        yield (
            name,
            Known(
                getattr(same[0], "retention", _POLICY.get(name, "second")),
                tuple(sorted(tags | set(more_tags))),
                {**fields, **more},
            ),
        )
    for name in ("bed", "strip"):
        if name not in {measurement.name for measurement in SCHEMA}:
            yield name, Known(_POLICY.get(name, "second"), *_PENDING[name])


def _made() -> Iterator[tuple[str, Known]]:
    """What never was a row: tiers that the server or a courier makes, and what the processes say of themselves."""
    vitals = dict(_stored())["vitals"]
    for name, policy in (("vitals_1m", "minute"), ("vitals_1h", "hour")):
        fields = {f"{field}{ending}": vitals.fields[field] for field in TIERED for ending in ("", "_min", "_max")}
        yield name, Known(policy, vitals.tags, fields)
    yield "process", Known("second", ("instance", "part"), PROCESS)


_POLICY = {"alarm": "forever", "strip": "forever", "wave": "wave", "ledger": "minute"}
_PENDING: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "vitals": (("ward",), {}),
    "alarm": (("ward",), {"bed": ""}),
    "device": (
        (),
        {
            "declared_noise_floor": "unit / sqrt(Hz)",
            "noise_unit": "",
            "calibration_expiry_ns": "unix time",
            "locked": "",
            "flags": "",
        },
    ),
    "bed": (
        ("patient", "site", "ward"),
        dict.fromkeys(
            ("bed", "admitted", "need", "priority", "condition", "words", "since_ns", "standing", "acknowledged"), ""
        ),
    ),
    "strip": (("condition", "patient", "site"), {"value": "the stream's"}),
}
TIERED = ("hr", "pulse", "rmssd", "sdnn", "rr_interval", "temp", "quality", "coverage")
PROCESS = {
    "alive": "0, 1",
    "ready": "0, 1",
    "behind_s": "s",
    "backlog_rows": "rows",
    "courier_failing": "0, 1",
    "restarts": "times",
    "bad_messages": "messages",
    "journal_bytes": "bytes",
    "room_bytes": "bytes",
    "messages": "messages",
    "rows": "rows",
    "latency_ms_p50": "ms",
    "latency_ms_p99": "ms",
}
MEASUREMENTS: Mapping[str, Known] = {**dict(_stored()), **dict(_made())}
