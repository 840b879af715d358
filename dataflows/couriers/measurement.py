"""What a measurement of InfluxDB is: tags, fields with type and unit, which rows become it, and how long it is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from dataflows.events import Row

FieldType = Literal["float", "integer", "boolean", "string", "bytes"]  # bytes go out as a base64 string
Unit = Literal[
    "",  # no number, or one that only names something
    "1",  # a share, 0 to 1
    "/min",
    "/h",
    "ms",
    "ms2",
    "s",
    "Cel",
    "%",
    "By",
    "{count}",
    "ns since 1970",
    "s since 1970",
    "of the stream",  # its profile says which
    "of the condition",
    "noise_unit",  # as the field of that name says
]
Shape = Literal["one", "extremes", "samples"]  # points of a row: one; lowest and highest of each bin; every sample


class Retention(NamedTuple):
    """How long points are kept: a retention policy of InfluxDB 1.x, a bucket ``femtoward/NAME`` of 2.x."""

    name: Literal["second", "wave", "minute", "hour", "forever"]
    days: float | None  # None: for good


SECOND: Final = Retention("second", 30.0)
WAVE: Final = Retention("wave", 2.0)
MINUTE: Final = Retention("minute", 365.0)
HOUR: Final = Retention("hour", 3650.0)
FOREVER: Final = Retention("forever", None)
RETENTIONS: Final = (SECOND, WAVE, MINUTE, HOUR, FOREVER)
DEFAULT: Final = SECOND  # where a query looks that names none


class Tag(NamedTuple):
    """A tag and the attribute of the row that it comes from; an empty one is left out."""

    name: str
    path: str


class Field(NamedTuple):
    """A field, its type for ever, its unit, what it says, and the attribute of the row that it comes from."""

    name: str
    type: FieldType
    unit: Unit
    says: str
    path: str


@dataclass(frozen=True)
class Measurement:
    """One measurement: what its points say, and which rows become them, when.

    Points that agree in measurement, tags and time are one to InfluxDB: the later overwrites the earlier.
    """

    name: str
    says: str
    retention: Retention
    row: type[Row]
    tags: tuple[Tag, ...]
    fields: tuple[Field, ...]
    time_ns: Callable[[Any], int]  # of the first point; 0 or less: the row has no time yet and is not written
    constant_tags: tuple[tuple[str, str], ...] = ()
    shape: Shape = "one"

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Every tag, in the order in which they choose."""
        return (*(tag.name for tag in self.tags), *(name for name, _ in self.constant_tags))


@dataclass(frozen=True)
class Derived:
    """A measurement that is not made of rows: of other points, or of the processes themselves."""

    name: str
    says: str
    retention: Retention
    tag_names: tuple[str, ...]
    fields: tuple[Field, ...]


def reading(name: str, unit: Unit, says: str) -> tuple[Field, Field, Field]:
    """Fields of a measured value: the value, its uncertainty and its quality."""
    return (
        Field(name, "float", unit, says, f"{name}.value"),
        Field(f"{name}_u", "float", unit, "its standard uncertainty", f"{name}.u"),
        Field(f"{name}_quality", "float", "1", "its quality", f"{name}.quality"),
    )


def fields(type_: FieldType, unit: Unit, **says: str) -> tuple[Field, ...]:
    """Fields of one type and unit that are named as the row's attributes are."""
    return tuple(Field(name, type_, unit, text, name) for name, text in says.items())


def thinned(name: str, unit: Unit, says: str) -> tuple[Field, Field, Field]:
    """Fields of a value over a time: its mean, the lowest, the highest."""
    return (
        Field(name, "float", unit, f"{says}, mean", name),
        Field(f"{name}_min", "float", unit, f"{says}, lowest", f"{name}_min"),
        Field(f"{name}_max", "float", unit, f"{says}, highest", f"{name}_max"),
    )
