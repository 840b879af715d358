"""Packets as JSON objects of the same shape, samples as base64 or as plain numbers."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from ingest.packet import BadPacket, Block, Packet, count_bytes, count_range
from ingest.profile import MAX_STREAMS, Birth, StreamProfile

Numbers = list[float | list[float]]  # flat or one list per channel: raw counts, channel by channel


class _Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    stream: int
    first_sample: int
    flags: int
    samples: bytes | Numbers
    noise_floor: float = 0.0


class _Packet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    device: str
    boot: str
    birth: int
    seq: int
    t0_ns: int
    clock: int
    blocks: Annotated[tuple[_Block, ...], Meta(max_length=MAX_STREAMS)]


_decoder = msgspec.json.Decoder(_Packet)
_encoder = msgspec.json.Encoder()


def packet_to_json(packet: Packet) -> bytes:
    """Encode a packet as a JSON object, samples as base64."""
    blocks = tuple(
        _Block(**{name: getattr(block, name) for name in _Block.__struct_fields__}) for block in packet.blocks
    )
    header = {name: getattr(packet, name) for name in Packet.__struct_fields__[:-1]}
    return _encoder.encode(_Packet(**header, blocks=blocks))


def packet_from_json(payload: bytes, birth: Birth | None) -> tuple[Packet, BadPacket | None]:
    """Decode a JSON packet; numbers become the bytes that the birth's profiles describe.

    Returns
    -------
    packet
        Not yet checked against the birth; a block whose numbers could not be turned into bytes is left empty.
    trouble
        The first thing wrong with a block's numbers, or None. Whoever checks the packet reports it after whatever is
        wrong with the packet as a whole.

    Raises
    ------
    msgspec.DecodeError, UnicodeError, RecursionError
        If the payload is no such object.
    """
    read = _decoder.decode(payload)
    blocks: list[Block] = []
    trouble: BadPacket | None = None
    for block in read.blocks:
        octets: bytes | BadPacket = b""
        if isinstance(block.samples, bytes):
            octets = block.samples
        elif birth is not None and 0 <= block.stream < len(birth.streams):
            octets = _bytes_of(block.samples, birth.streams[block.stream], f"stream {block.stream}")
        if isinstance(octets, BadPacket):
            trouble, octets = trouble or octets, b""
        blocks.append(Block(block.stream, block.first_sample, block.flags, block.noise_floor, octets))
    header = (read.version, read.device, read.boot, read.birth, read.seq, read.t0_ns, read.clock)
    return Packet(*header, tuple(blocks)), trouble


def _bytes_of(numbers: Numbers, profile: StreamProfile, stream: str) -> bytes | BadPacket:
    """Raw counts as the bytes of a block, or why not."""
    expected = f"{profile.n_channels} channels x {profile.block_len} samples expected"
    lists = [row for row in numbers if isinstance(row, list)]
    if lists:
        lengths = sorted({len(row) for row in lists})
        if len(lists) < len(numbers) or len(lists) != profile.n_channels or lengths != [profile.block_len]:
            came = f"{len(lists)} lists of {lengths} and {len(numbers) - len(lists)} bare numbers"
            return BadPacket("wrong-length", f"{stream} {profile.name!r}: {came} came, {expected}, all of one kind")
    elif len(numbers) != profile.n_channels * profile.block_len:
        return BadPacket("wrong-length", f"{stream} {profile.name!r}: {len(numbers)} numbers came, {expected}")
    counts = np.array(numbers, np.float64).ravel()
    low, high = count_range(profile.dtype)
    wrong = (counts < low) | (counts > high)
    if profile.dtype != "f4":
        wrong |= counts != np.rint(counts)
    if wrong.any():
        at = int(np.argmax(wrong))
        kind = "numbers" if profile.dtype == "f4" else "whole counts"
        return BadPacket(
            "out-of-range",
            f"{stream} {profile.name!r}: sample {at} is {counts[at]:g}, {kind} from {low:g} to {high:g} are what "
            f"{profile.dtype} holds: clip at the sensor and set the flag 'saturated', or choose a wider dtype",
        )
    return count_bytes(counts, profile.dtype)
