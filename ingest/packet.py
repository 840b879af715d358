"""Packets: what a device publishes at once, and the reasons for which one is refused."""

from enum import IntFlag
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ingest.profile import MAX_STREAMS, SAMPLE_BYTES, Dtype, StreamProfile


class StateFlag(IntFlag):
    """What the sensor says of itself while it took a block."""

    LOCKED = 1
    ZEROING = 2
    SATURATED = 4
    CALIBRATING = 8
    OFF_BODY = 16


ALL_FLAGS = 31


class Block(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One stream's samples in a packet."""

    stream: int  # index into the birth's streams
    first_sample: int  # counts samples of this stream since boot
    flags: int  # StateFlag
    noise_floor: float  # as measured by the device, in the stream's unit / sqrt(Hz); 0: not measured
    samples: bytes  # little-endian, channel by channel


class Packet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a device publishes at once.

    ``t0_ns`` is the device's time of the first sample of every block in the packet.
    """

    version: int
    device: str
    boot: str  # a new boot id starts ``seq`` and the sample numbers anew
    birth: int  # names the profile in force
    seq: int
    t0_ns: int
    clock: int  # 0: free-running, 1: set by hand or by the phone, 2: disciplined (NTP, PTP, GNSS)
    blocks: Annotated[tuple[Block, ...], Meta(max_length=MAX_STREAMS)]


BadReason = Literal[
    "unknown-topic",
    "too-large",
    "undecodable",
    "wrong-version",
    "wrong-device",
    "no-birth",
    "wrong-birth",
    "unknown-stream",
    "repeated-stream",
    "wrong-length",
    "out-of-range",
    "sample-number-backwards",
    "flooding",
    "too-many-devices",
    "bad-birth",
    "bad-status",
    "bad-command",
]


class BadPacket(msgspec.Struct, frozen=True):
    """A message that was refused: a value, never an exception."""

    reason: BadReason
    detail: str  # what came, what was expected, what to do
    boot: str = ""  # of a packet whose header could be read: its boot id ...
    seq: int = -1  # ... and number, so that the ledger counts it as quarantined, not as lost as well


def samples(block: Block, profile: StreamProfile) -> NDArray[np.float64]:
    """Return the samples of a block in the profile's unit.

    Parameters
    ----------
    block
        A block that was checked against `profile`.
    profile
        The stream's profile.

    Returns
    -------
    ndarray, shape (n_channels, block_len)
        In ``profile.unit``; a float stream may hold NaN or infinity.
    """
    return counts(block.samples, profile.dtype).reshape(profile.n_channels, profile.block_len) * profile.scale


def counts(data: bytes, dtype: Dtype) -> NDArray[np.float64]:
    """Return little-endian samples, of one block or of many in a row, as float64."""
    if dtype == "i3":
        octets = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(octets), 4), np.uint8)
        wide[:, 1:] = octets
        return (wide.view("<i4")[:, 0] >> 8).astype(np.float64)  # the sign comes along with the arithmetic shift
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like any other
        return np.frombuffer(data, f"<{dtype}").astype(np.float64)


def raw_bytes(values: NDArray[np.float64], profile: StreamProfile) -> bytes:
    """Quantise values in the profile's unit to the bytes of a block; integers clip at their range.

    Parameters
    ----------
    values : ndarray, shape (n_channels, block_len)
        In ``profile.unit``.
    profile
        The stream's profile.
    """
    raw = values / profile.scale
    if profile.dtype != "f4":
        raw = np.clip(np.rint(raw), *count_range(profile.dtype))
    return count_bytes(raw, profile.dtype)


def count_range(dtype: Dtype) -> tuple[float, float]:
    """Smallest and largest finite count that a dtype holds."""
    if dtype == "f4":
        return -float(np.finfo(np.float32).max), float(np.finfo(np.float32).max)
    top = 2.0 ** (8 * SAMPLE_BYTES[dtype] - 1)
    return -top, top - 1.0


def count_bytes(raw: NDArray[np.float64], dtype: Dtype) -> bytes:
    """Little-endian bytes of counts that are in the range of `dtype`, whole ones unless it is ``f4``."""
    if dtype == "i3":
        return np.ascontiguousarray(raw.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3]).tobytes()
    return raw.astype(f"<{dtype}").tobytes()
