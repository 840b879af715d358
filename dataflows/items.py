"""What passes from the fold of a partition to the banks of its shards."""

from typing import NamedTuple
from zlib import crc32

from dataflows.events import WARD
from ingest.command import AlarmCommand
from ingest.limits import Own
from ingest.profile import Birth

WARD_KEY = f"*/{WARD}"  # the subject of what concerns no single patient


class BlockData(NamedTuple):
    """One stream's samples, checked against its profile."""

    stream: int
    fresh: bool  # the row starts anew: the first block, or one after a gap
    bridged: int  # whole blocks missing before this one, to be bridged
    flags: int
    noise_floor: float
    samples: bytes


class Data(NamedTuple):
    """A packet in order, with its corrected time."""

    device: str  # site/device
    arrival_ns: int
    awake_ns: int  # arrival time less all the time during which ingest was down or cut off from the broker
    t0_ns: int  # corrected
    offset_ns: int  # corrected minus raw
    blocks: tuple[BlockData, ...]


class Bind(NamedTuple):
    """A device is a patient's from here on, with this profile."""

    device: str
    patient: str  # site/patient
    birth: Birth
    arrival_ns: int
    awake_ns: int


class Unbind(NamedTuple):
    """A device is its patient's no more."""

    device: str
    patient: str
    arrival_ns: int
    reason: str


class Park(NamedTuple):
    """A device has been silent for long: only that it is lost need be known, until it is bound again."""

    device: str
    patient: str
    arrival_ns: int  # of its newest packet; 0: none came
    now_ns: int  # arrival of the record that parks it


class Placed(NamedTuple):
    """Where a patient lies, which may be known already."""

    patient: str  # site/patient
    ward: str  # empty: not known
    bed: str
    admitted: bool  # False: the patient has left
    arrival_ns: int


class Limited(NamedTuple):
    """A patient's own alarm limits, all of them; they may be known already."""

    patient: str  # site/patient
    limits: Own
    arrival_ns: int


class Flooded(NamedTuple):
    """A device sends more than it can measure, or does no more."""

    patient: str  # site/patient, or the ward if nobody wears it
    device: str
    packets: int  # that were too many so far; 0: it is over
    arrival_ns: int


class Ailing(NamedTuple):
    """What devices of a patient know to be wrong with themselves, or nothing any more; told again while it lasts."""

    patient: str  # site/patient
    words: str  # which devices and what; empty: nothing
    arrival_ns: int


class Where(NamedTuple):
    """Where a patient lies."""

    site: str
    ward: str  # empty: not known


class Hushed(NamedTuple):
    """Many devices of a ward fell silent at once, or they are no more; it may be known already."""

    subject: str  # of the ward's alarm
    where: Where
    silent: int  # devices; 0: it is over
    of: int  # devices that spoke until then
    begun_ns: int
    joined_ns: int  # when the newest of them were found
    arrival_ns: int
    mine: bool  # this shard tells of it


class Tick(NamedTuple):
    """The clock of the journal."""

    arrival_ns: int
    awake_ns: int
    link_down_ns: int  # since when the broker is out of reach; 0: it is not
    ward: bool  # this shard looks after what concerns no single patient


class Reported(NamedTuple):
    """What a courier or a disk has to say of itself."""

    reporter: str
    ok: bool
    detail: str
    arrival_ns: int
    level: int = 0  # how bad it is, if it says so


class Commanded(NamedTuple):
    """Somebody has something to say of a patient's alarms."""

    patient: str  # site/patient
    actor: str
    command: AlarmCommand
    arrival_ns: int


Item = Data | Bind | Unbind | Park | Placed | Limited | Flooded | Ailing | Hushed | Tick | Reported | Commanded


def shard_of(patient: str, n_shards: int) -> int:
    """Which of a partition's shards has a patient, by ``site/patient``."""
    return crc32(patient.encode()) % n_shards


def site_of(key: str) -> str:
    """Site of a ``site/device`` or ``site/patient`` key."""
    return key.partition("/")[0]


def name_of(key: str) -> str:
    """Device or patient of a ``site/name`` key."""
    return key.partition("/")[2]
