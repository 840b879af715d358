"""A shard as it goes into a snapshot: what stands comes first, in a form that another version can read."""

from collections.abc import Iterator
from typing import Final

import msgspec

from dataflows.alarm_images import Cells, Lore, WardImage
from dataflows.bank import BankImage
from dataflows.faults import Fault
from dataflows.items import Flooded, Where
from dataflows.roster import Device, Patient
from dataflows.shelf import Shelf
from ingest.limits import Own

FORMAT: Final = 1  # of `Lasting` and of what every `Parked` begins with


class Lasting(msgspec.Struct, frozen=True, array_like=True):
    """What every version of the image begins with: an alarm that stands outlives the code that raised it."""

    format: int
    alarms: WardImage
    parked: bytes  # a shelf of `Parked`
    late: tuple[str, ...]
    failing: dict[str, str]
    flooding: dict[str, dict[str, int]]
    anew_ns: int  # see `Shard`
    since_ns: int


class ShardImage(Lasting, frozen=True, array_like=True):
    """A shard as it goes into a snapshot."""

    devices: tuple[Device, ...]
    patients: tuple[Patient, ...]
    left: dict[str, int]
    early: dict[str, tuple[Flooded, ...]]
    beds: tuple[int, bytes]
    lanes: tuple[tuple[str, BankImage], ...]
    faults: dict[str, Fault] = {}  # images of before have none
    courses: BankImage = BankImage((), b"")  # the same
    breathing: BankImage | None = None  # the same
    limits: dict[str, Own] = {}  # the same
    slow: BankImage | None = None  # the same
    silence: tuple[dict[str, tuple[Where, str]], dict[str, str]] = ({}, {})  # the same
    joined_ns: dict[str, int] = {}  # see `Silence`; the same


class ParkedAlarms(msgspec.Struct, frozen=True, array_like=True):
    """What every version of a parked patient begins with."""

    alarms: Cells
    late: bool


class Parked(ParkedAlarms, frozen=True, array_like=True):
    """A patient of whom every device is silent: nothing happens until one is bound again, or a command comes."""

    patient: Patient
    course: bytes = b""  # see `Courses.park`; records of before have none
    lore: dict[str, Lore] = {}  # the same


_lasting = msgspec.msgpack.Decoder(Lasting)
_whole = msgspec.msgpack.Decoder(ShardImage)
_parked_alarms = msgspec.msgpack.Decoder(ParkedAlarms)
_parked = msgspec.msgpack.Decoder(Parked)


def decode_image(image: bytes) -> ShardImage:
    """Read an image of this version."""
    return _whole.decode(image)


def decode_lasting(image: bytes) -> Lasting:
    """Read of an image of another version what stands.

    Raises
    ------
    ValueError
        Even that cannot be read.
    """
    kept = _lasting.decode(image)
    if kept.format != FORMAT:
        raise ValueError(f"they are of format {kept.format}, this is format {FORMAT}")
    return kept


def decode_parked(record: bytes) -> Parked:
    """Read what the shelf keeps of a patient."""
    return _parked.decode(record)


def parked_alarms(shelf: Shelf) -> Iterator[tuple[str, ParkedAlarms]]:
    """Yield the alarms of every patient on a shelf, of whatever version."""
    for key, record in shelf.items():
        yield key, _parked_alarms.decode(record)
