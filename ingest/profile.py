"""Births and stream profiles: who a device is and what each of its streams looks like."""

import math
from typing import Annotated, Literal, NewType

import msgspec
from msgspec import Meta

DeviceId = NewType("DeviceId", str)
PatientId = NewType("PatientId", str)
SiteId = NewType("SiteId", str)

WIRE_VERSION = 1
NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
MAX_STREAMS = 16
MAX_CHANNELS = 256
MAX_BLOCK_LEN = 65_536

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Dtype = Literal["i2", "i3", "i4", "f4"]
Kind = Literal["mcg", "meg", "ppg", "temperature", "acceleration", "reference"]
Sensor = Literal["opm-serf", "opm-he4", "nv-ensemble", "spad", "nv-thermometer", "imu"]
Vector = tuple[float, float, float]

SAMPLE_BYTES: dict[Dtype, int] = {"i2": 2, "i3": 3, "i4": 4, "f4": 4}


class Calibration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a stream was calibrated, until when that holds, and how far its gain may be off."""

    id: Name
    time_ns: Annotated[int, Meta(ge=0, lt=2**63)]
    expiry_ns: Annotated[int, Meta(ge=0, lt=2**63)]
    gain_error: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0


class StreamProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stream of a device.

    ``value [unit] = scale * raw``; a block holds ``n_channels * block_len`` raw samples, channel by channel.

    Raises
    ------
    ValueError
        If the geometry does not have one entry per channel or a number is not finite; the message says which.
    """

    name: Name
    kind: Kind
    sensor: Sensor
    rate_hz: Annotated[float, Meta(gt=0.0, le=100_000.0)]
    n_channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    unit: Annotated[str, Meta(min_length=1, max_length=32)]  # UCUM
    dtype: Dtype
    block_len: Annotated[int, Meta(ge=1, le=MAX_BLOCK_LEN)]
    scale: float = 1.0  # unit per count
    noise_floor: Annotated[float, Meta(ge=0.0)] = 0.0  # unit / sqrt(Hz)
    range: Annotated[float, Meta(ge=0.0)] = 0.0  # the sensor clips at +-range, in unit; 0: not stated
    bandwidth_hz: Annotated[float, Meta(ge=0.0)] = 0.0  # -3 dB; 0: not stated
    positions_m: tuple[Vector, ...] = ()
    orientations: tuple[Vector, ...] = ()
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        """Refuse what the field types alone cannot."""
        for field in ("positions_m", "orientations"):
            geometry = getattr(self, field)
            if geometry and len(geometry) != self.n_channels:
                raise ValueError(
                    f"stream {self.name}: {field} has {len(geometry)} entries, need one per channel ({self.n_channels})"
                )
            if not all(math.isfinite(x) for vector in geometry for x in vector):
                raise ValueError(f"stream {self.name}: {field} holds a number that is not finite")
        if not math.isfinite(self.scale) or self.scale == 0.0:
            raise ValueError(f"stream {self.name}: scale={self.scale} is not a finite number other than 0")
        for field in ("rate_hz", "noise_floor", "range", "bandwidth_hz"):
            if not math.isfinite(getattr(self, field)):
                raise ValueError(f"stream {self.name}: {field} is not finite")

    @property
    def n_bytes(self) -> int:
        """Bytes of one block's samples."""
        return self.n_channels * self.block_len * SAMPLE_BYTES[self.dtype]

    @property
    def block_ns(self) -> int:
        """Duration of one block in ns."""
        return round(self.block_len / self.rate_hz * 1e9)


class Birth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who a device is: published retained, before its first packet.

    Raises
    ------
    ValueError
        If two streams share a name.
    """

    version: Literal[1]
    device: Name
    birth: Annotated[int, Meta(ge=0, lt=2**31)]  # counts up whenever anything below changes
    streams: Annotated[tuple[StreamProfile, ...], Meta(min_length=1, max_length=MAX_STREAMS)]
    model: Annotated[str, Meta(max_length=128)] = ""
    patient: Name | None = None  # a hint: an admission by command outranks it
    simulated: bool = False

    def __post_init__(self) -> None:
        """Refuse streams that cannot be told apart."""
        names = [stream.name for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError(f"device {self.device}: stream names {names} are not all different")


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device says of itself; `offline` is its last will."""

    state: Literal["online", "offline", "zeroing", "calibrating"]
    reason: Annotated[str, Meta(max_length=256)] = ""
