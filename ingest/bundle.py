"""Bundles: many devices' packets in one message of a gateway; each packet keeps its own verdict."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from ingest.packet import BadPacket, Packet
from ingest.profile import WIRE_VERSION
from ingest.refusal import DECODE_ERRORS, is_json, quoted, refused, too_large, wrong_version

MAX_ITEMS = 4096

Items = Annotated[list[msgspec.Raw], Meta(max_length=MAX_ITEMS)]


class _InArray(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    gateway: str
    packets: Items


class _InObject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    gateway: str
    packets: Items


class _DeviceInArray(msgspec.Struct, array_like=True):
    version: int
    device: str


class _DeviceInObject(msgspec.Struct):
    device: str


_array = msgspec.msgpack.Decoder(_InArray)
_object = msgspec.json.Decoder(_InObject)
_array_device = msgspec.msgpack.Decoder(_DeviceInArray)
_object_device = msgspec.json.Decoder(_DeviceInObject)


def encode_bundle(gateway: str, packets: Sequence[Packet]) -> bytes:
    """Encode many devices' packets as one MessagePack message."""
    return msgspec.msgpack.encode((WIRE_VERSION, gateway, packets))


def decode_bundle(payload: bytes, gateway: str | None = None) -> list[bytes] | BadPacket:
    """Take a bundle apart into the payloads of its packets, each to be decoded for itself.

    Parameters
    ----------
    payload
        MessagePack ``[1, gateway, [packet, ...]]``, or JSON ``{"version": 1, "gateway": .., "packets": [..]}``.
    gateway
        The gateway that the topic names; None: not checked.

    Returns
    -------
    list of bytes
        One payload per packet, in order, as if each had come alone; which device's, tells `device_of`.
        A packet that cannot be decoded does not hurt the others, unless the bundle cannot be taken apart at all.
    """
    if bad := too_large(payload):
        return bad
    try:
        bundle = (_object if is_json(payload) else _array).decode(payload)
    except DECODE_ERRORS as error:
        return refused(
            payload,
            error,
            "undecodable",
            f"a MessagePack array [1, gateway, [packet, ...]] or a JSON object with version, gateway and packets, "
            f"of at most {MAX_ITEMS} packets: send it whole and unchanged",
        )
    if bundle.version != WIRE_VERSION:
        return wrong_version(bundle.version)
    if gateway is not None and bundle.gateway != gateway:
        return BadPacket(
            "wrong-device",
            f"the topic names gateway {gateway!r}, the bundle claims {quoted(bundle.gateway)!r}: "
            f"publish each gateway's bundles on its own topic, with its own login",
        )
    return [bytes(item) for item in bundle.packets]


def device_of(payload: bytes) -> str | BadPacket:
    """The device that an item of a bundle claims; a bundle inside a bundle is refused."""
    try:
        device = (_object_device if is_json(payload) else _array_device).decode(payload).device
    except DECODE_ERRORS as error:
        return refused(payload, error, "undecodable", "a packet (a bundle holds packets only, no bundles)")
    return device
