"""Packets: what a device publishes at once, and the reasons for which one is refused."""

from enum import IntFlag
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.profile import StreamProfile

MAX_PAYLOAD_BYTES = 1 << 20
MAX_TIME_NS = 1 << 62


class StateFlag(IntFlag):
    """What the sensor says of itself while it took a block."""

    LOCKED = 1
    ZEROING = 2
    SATURATED = 4
    CALIBRATING = 8
    OFF_BODY = 16


class Block(msgspec.Struct, frozen=True, array_like=True):
    """One stream's samples in a packet."""

    stream: int  # index into the birth's streams
    first_sample: int  # counts samples of this stream since boot
    flags: int  # StateFlag
    noise_floor: float  # as measured by the device, in the stream's unit / sqrt(Hz); 0: not measured
    samples: bytes  # little-endian, channel by channel


class Packet(msgspec.Struct, frozen=True, array_like=True):
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
    blocks: tuple[Block, ...]


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
    "bad-birth",
    "bad-status",
    "bad-command",
]


class BadPacket(msgspec.Struct, frozen=True):
    """A message that was refused: a value, never an exception."""

    reason: BadReason
    detail: str  # what came, what was expected, what to do


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
    if profile.dtype == "i3":
        octets = np.frombuffer(block.samples, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(octets), 4), np.uint8)
        wide[:, 1:] = octets
        raw = wide.view("<i4")[:, 0] >> 8  # the sign comes along with the arithmetic shift
    else:
        raw = np.frombuffer(block.samples, f"<{profile.dtype}")
    return raw.reshape(profile.n_channels, profile.block_len) * np.float64(profile.scale)


def raw_bytes(values: NDArray[np.float64], profile: StreamProfile) -> bytes:
    """Quantise values in the profile's unit to the bytes of a block; integers clip at their range.

    Parameters
    ----------
    values : ndarray, shape (n_channels, block_len)
        In ``profile.unit``.
    profile
        The stream's profile.
    """
    if profile.dtype == "f4":
        return (values / profile.scale).astype("<f4").tobytes()
    bits = {"i2": 16, "i3": 24, "i4": 32}[profile.dtype]
    top = 2.0 ** (bits - 1)
    counts = np.clip(np.rint(values / profile.scale), -top, top - 1)
    if profile.dtype == "i3":
        return np.ascontiguousarray(counts.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3]).tobytes()
    return counts.astype(f"<{profile.dtype}").tobytes()
