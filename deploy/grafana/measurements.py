"""What InfluxDB holds, as queries see it: out of the schema that rows are encoded by and the couriers write."""

from collections.abc import Mapping
from typing import NamedTuple

from dataflows.couriers.measurement import Unit
from dataflows.couriers.schema import EVERYTHING, qualified

__all__ = ["MEASUREMENTS", "Known", "qualified", "unit"]


class Known(NamedTuple):
    """Names of a measurement."""

    retention: str
    tags: frozenset[str]
    fields: Mapping[str, Unit]


def _known(name: str) -> Known:
    same = [one for one in EVERYTHING if one.name == name]  # rows of two kinds may become one measurement
    return Known(
        same[0].retention.name,
        frozenset(tag for one in same for tag in one.tag_names),
        {field.name: field.unit for one in same for field in one.fields},
    )


MEASUREMENTS: Mapping[str, Known] = {one.name: _known(one.name) for one in EVERYTHING}

_UNITS: Mapping[Unit, str] = {
    "1": "percentunit",
    "/min": "suffix:/min",
    "/h": "suffix:/h",
    "ms": "ms",
    "ms2": "suffix:ms²",
    "s": "s",
    "Cel": "celsius",
    "%": "percent",
    "By": "bytes",
    "{count}": "short",
    "of the stream": "none",
    "noise_unit": "none",
}


def unit(measurement: str, field: str) -> str:
    """Unit of a field, out of the schema's, as Grafana calls it."""
    return _UNITS[MEASUREMENTS[measurement].fields[field]]
