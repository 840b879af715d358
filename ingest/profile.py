"""Births and stream profiles: who a device is and what each of its streams looks like."""

import math
from functools import cached_property
from typing import Annotated, Literal, NewType

import msgspec
from msgspec import Meta

DeviceId = NewType("DeviceId", str)
PatientId = NewType("PatientId", str)
SiteId = NewType("SiteId", str)

WIRE_VERSION = 1
NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}\Z"  # not $, which would let a line feed follow
MAX_STREAMS = 16
MAX_CHANNELS = 256
MAX_BLOCK_LEN = 65_536
MAX_BLOCK_S = 60.0  # a vital that is a minute old is none
MAX_PAYLOAD_BYTES = 1 << 20
MAX_SCALE = 1e30  # times the largest float32 is still a double
MAX_TIME_NS = 1 << 62
MAX_COUNT = 1 << 53  # of packets or samples: exact as a double, and in every JSON library

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Dtype = Literal["i2", "i3", "i4", "f4"]
Kind = Literal["mcg", "meg", "ppg", "temperature", "acceleration", "reference"]
Sensor = Literal["opm-serf", "opm-he4", "opm-scalar", "nv-ensemble", "spad", "nv-thermometer", "imu"]
Vector = tuple[float, float, float]

SAMPLE_BYTES: dict[Dtype, int] = {"i2": 2, "i3": 3, "i4": 4, "f4": 4}


class Calibration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """When a stream was calibrated, until when that holds, and how far its gain may be off."""

    id: Name
    time_ns: Annotated[int, Meta(ge=0, lt=MAX_TIME_NS)]
    expiry_ns: Annotated[int, Meta(ge=0, lt=MAX_TIME_NS)]
    gain_error: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0


class StreamProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
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
    rate_hz: Annotated[float, Meta(ge=0.001, le=100_000.0)]
    n_channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    unit: Annotated[str, Meta(min_length=1, max_length=32)]  # UCUM
    dtype: Dtype
    block_len: Annotated[int, Meta(ge=1, le=MAX_BLOCK_LEN)]
    scale: float = 1.0  # unit per count
    noise_floor: Annotated[float, Meta(ge=0.0)] = 0.0  # unit / sqrt(Hz), of the noisiest channel
    range: Annotated[float, Meta(ge=0.0)] = 0.0  # the sensor clips at +-range, in unit; 0: not stated
    bandwidth_hz: Annotated[float, Meta(ge=0.0)] = 0.0  # -3 dB; 0: not stated
    positions_m: tuple[Vector, ...] = ()
    orientations: tuple[Vector, ...] = ()
    calibration: Calibration | None = None
    wavelengths_nm: tuple[Annotated[float, Meta(gt=0.0, lt=1e5)], ...] = ()  # of the light, one per channel
    channel_noise: tuple[Annotated[float, Meta(ge=0.0)], ...] = ()  # noise floor of each channel, where they differ

    def __post_init__(self) -> None:
        """Refuse what the field types alone cannot."""
        for field in ("positions_m", "orientations", "wavelengths_nm", "channel_noise"):
            values = getattr(self, field)
            if values and len(values) != self.n_channels:
                raise ValueError(
                    f"stream {self.name}: {field} has {len(values)} entries, need one per channel ({self.n_channels})"
                )
        if self.channel_noise and max(self.channel_noise) != self.noise_floor:
            raise ValueError(
                f"stream {self.name}: noise_floor={self.noise_floor} came, need that of the noisiest channel "
                f"({max(self.channel_noise)})"
            )
        for field in ("positions_m", "orientations"):
            geometry = getattr(self, field)
            if not all(math.isfinite(x) for vector in geometry for x in vector):
                raise ValueError(f"stream {self.name}: {field} holds a number that is not finite")
        if not 0.0 < abs(self.scale) <= MAX_SCALE:
            raise ValueError(f"stream {self.name}: scale={self.scale} came, need 0 < |scale| <= {MAX_SCALE:g}")
        for field in ("rate_hz", "noise_floor", "range", "bandwidth_hz"):
            if not math.isfinite(getattr(self, field)):
                raise ValueError(f"stream {self.name}: {field} is not finite")
        if self.block_len > MAX_BLOCK_S * self.rate_hz or self.n_bytes > MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"stream {self.name}: a block of {self.block_len} samples at {self.rate_hz} Hz lasts "
                f"{self.block_len / self.rate_hz:g} s and has {self.n_bytes} bytes, need at most {MAX_BLOCK_S:g} s and "
                f"{MAX_PAYLOAD_BYTES} bytes: publish shorter packets more often"
            )

    @property
    def n_bytes(self) -> int:
        """Bytes of one block's samples."""
        return self.n_channels * self.block_len * SAMPLE_BYTES[self.dtype]

    @property
    def block_ns(self) -> int:
        """Duration of one block in ns."""
        return round(self.block_len / self.rate_hz * 1e9)


class Birth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, dict=True):
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

    @cached_property
    def limits(self) -> tuple[tuple[int, int], ...]:
        """Per stream, bytes of one block and end of the sample numbers; worked out once, asked at every packet.

        A sample number whose time since boot does not fit into 62 bits of ns (146 years) is a wrong one.
        """
        ratios = [stream.rate_hz.as_integer_ratio() for stream in self.streams]
        ends = [min(MAX_COUNT, MAX_TIME_NS * n // (d * 1_000_000_000)) for n, d in ratios]
        return tuple((stream.n_bytes, end) for stream, end in zip(self.streams, ends, strict=True))

    @cached_property
    def periods_ns(self) -> tuple[int, ...]:
        """Duration of one block of each stream; worked out once, asked at every packet."""
        return tuple(stream.block_ns for stream in self.streams)


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a device says of itself; `offline` is its last will."""

    state: Literal["online", "offline", "zeroing", "calibrating"]
    reason: Annotated[str, Meta(max_length=256)] = ""
    faults: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()  # codes of what it knows to be wrong with itself
