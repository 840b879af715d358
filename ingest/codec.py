"""Bytes to packets and back, MessagePack or JSON; what does not decode becomes a `BadPacket`, never an exception."""

import math
import re
from typing import Literal

import msgspec

from ingest.bundle import decode_bundle, device_of, encode_bundle
from ingest.documents import (
    decode_birth,
    decode_command,
    decode_status,
    encode_birth,
    encode_command,
    encode_status,
)
from ingest.json_codec import packet_from_json, packet_to_json
from ingest.packet import ALL_FLAGS, BadPacket, BadReason, Block, Packet
from ingest.profile import MAX_COUNT, MAX_STREAMS, MAX_TIME_NS, NAME_PATTERN, WIRE_VERSION, Birth
from ingest.refusal import DECODE_ERRORS, is_json, quoted, refused, too_large, wrong_version

__all__ = [
    "decode_birth",
    "decode_bundle",
    "decode_command",
    "decode_packet",
    "decode_status",
    "device_of",
    "encode_birth",
    "encode_bundle",
    "encode_command",
    "encode_packet",
    "encode_status",
]

EXPECTED = (
    "a MessagePack array [version, device, boot, birth, seq, t0_ns, clock, [[stream, first_sample, flags, noise_floor, "
    "samples], ...]] or a JSON object with these names: send it whole and unchanged"
)

_decoder = msgspec.msgpack.Decoder(Packet)
_encoder = msgspec.msgpack.Encoder()
_is_name = re.compile(NAME_PATTERN).match


def encode_packet(packet: Packet, fmt: Literal["msgpack", "json"] = "msgpack") -> bytes:
    """Encode a packet.

    Parameters
    ----------
    packet
        Any packet.
    fmt
        ``"msgpack"`` for a MessagePack array, ``"json"`` for an object of the same shape with base64 samples.
    """
    return packet_to_json(packet) if fmt == "json" else _encoder.encode(packet)


def decode_packet(payload: bytes, device: str, birth: Birth | None) -> Packet | BadPacket:
    """Decode a packet and check it against the device's birth; no bytes make this raise.

    Parameters
    ----------
    payload
        MessagePack, or JSON if the first byte is ``{``.
    device
        The device that the topic names.
    birth
        Its birth in force; None if it has not come.

    Examples
    --------
    >>> decode_packet(b"not a packet", "w1", None).reason
    'undecodable'
    """
    if bad := too_large(payload):
        return bad
    trouble: BadPacket | None = None
    try:
        if is_json(payload):
            packet, trouble = packet_from_json(payload, birth)
        else:
            packet = _decoder.decode(payload)
    except DECODE_ERRORS as error:
        return refused(payload, error, "undecodable", EXPECTED)
    if bad := _bad_header(packet, device):
        return bad
    if birth is None:
        return _placed(
            packet,
            "no-birth",
            f"a packet of device {device!r} came, which has published no birth: publish the birth, retained, first",
        )
    if packet.birth != birth.birth:
        return _placed(
            packet,
            "wrong-birth",
            f"the packet names birth {packet.birth}, birth {birth.birth} is in force: "
            f"publish a birth before the packets that name it",
        )
    return _bad_blocks(packet, birth, trouble) or packet


def _bad_header(packet: Packet, device: str) -> BadPacket | None:
    """What is wrong with a packet as a whole."""
    if packet.version != WIRE_VERSION:
        return wrong_version(packet.version)
    if packet.device != device:
        return BadPacket(
            "wrong-device",
            f"the topic names device {device!r}, the packet claims {quoted(packet.device)!r}: "
            f"publish a device's packets on its own topic, with its own login",
        )
    boot, seq = _is_name(packet.boot) is not None, 0 <= packet.seq < MAX_COUNT
    t0_ns, clock = 0 <= packet.t0_ns < MAX_TIME_NS, 0 <= packet.clock <= 2
    if boot and seq and t0_ns and clock:
        return None
    return _out_of_range(
        packet if boot and seq else None,
        (boot, "boot id", packet.boot, "1-64 of A-Z a-z 0-9 _ -"),
        (seq, "seq", packet.seq, "0 to 2**53 - 1, counted from 0 at boot"),
        (t0_ns, "t0_ns", packet.t0_ns, "0 to 2**62 - 1, in ns"),
        (clock, "clock", packet.clock, "0 free-running, 1 set by hand or 2 disciplined"),
    )


def _bad_blocks(packet: Packet, birth: Birth, trouble: BadPacket | None) -> BadPacket | None:
    """What is wrong with the blocks of a packet; `trouble` was met when numbers became bytes."""
    limits, n_streams, seen = birth.limits, len(birth.streams), 0
    for block in packet.blocks:
        if 0 <= (stream := block.stream) < n_streams:
            n_bytes, end = limits[stream]
            if (
                not seen >> stream & 1
                and len(block.samples) == n_bytes
                and 0 <= block.first_sample < end
                and 0 <= block.flags <= ALL_FLAGS
                and 0.0 <= block.noise_floor < math.inf
            ):
                seen |= 1 << stream
                continue
        return _bad_block(packet, block, birth, trouble, repeated=stream >= 0 and bool(seen >> stream & 1))
    if not packet.blocks:
        return _out_of_range(packet, (False, "number of blocks", 0, f"1 to {MAX_STREAMS}, else no packet at all"))
    return None


def _bad_block(packet: Packet, block: Block, birth: Birth, trouble: BadPacket | None, *, repeated: bool) -> BadPacket:
    """What is wrong with a block that is known to be bad."""
    if not 0 <= block.stream < len(birth.streams):
        return _placed(
            packet,
            "unknown-stream",
            f"a block names stream {block.stream}, birth {birth.birth} has streams 0 to {len(birth.streams) - 1}: "
            f"publish a birth with all the streams that are sent",
        )
    profile = birth.streams[block.stream]
    stream = f"stream {block.stream} {profile.name!r}"
    if repeated:
        detail = f"{stream} came twice in one packet, once is expected: send the later block in the next packet"
        return _placed(packet, "repeated-stream", detail)
    end = birth.limits[block.stream][1]
    first_sample, flags = 0 <= block.first_sample < end, 0 <= block.flags <= ALL_FLAGS
    noise_floor = 0.0 <= block.noise_floor < math.inf
    if not (first_sample and flags and noise_floor):
        return _out_of_range(
            packet,
            (first_sample, f"{stream}: first_sample", block.first_sample, f"0 to {end - 1}, counted from 0 at boot"),
            (flags, f"{stream}: flags", block.flags, f"a sum of 1 2 4 8 16 (0 to {ALL_FLAGS})"),
            (noise_floor, f"{stream}: noise_floor", block.noise_floor, "a finite number, 0 or more (0: not measured)"),
        )
    if trouble:
        return _placed(packet, trouble.reason, trouble.detail)
    return _placed(
        packet,
        "wrong-length",
        f"{stream}: {len(block.samples)} bytes came, {profile.n_channels} channels x {profile.block_len} samples "
        f"x {profile.dtype} = {profile.n_bytes} expected: send whole blocks, or publish a birth with the length sent",
    )


def _out_of_range(packet: Packet | None, *checks: tuple[bool, str, object, str]) -> BadPacket:
    """The first of some checks that failed, in words; `packet` if its place in the sequence is known."""
    what, came, expected = next(rest for good, *rest in checks if not good)
    detail = f"{what}: {quoted(str(came))} came, expected {expected}: correct the device's firmware"
    return _placed(packet, "out-of-range", detail) if packet else BadPacket("out-of-range", detail)


def _placed(packet: Packet, reason: BadReason, detail: str) -> BadPacket:
    """Refuse a packet whose place in its device's sequence could be read: the ledger then need not count it as lost."""
    return BadPacket(reason, detail, packet.boot, packet.seq)
