"""Births, statuses and commands: JSON objects, decoded to values or refused with words."""

from typing import TypeVar, get_args

import msgspec

from ingest.command import Command
from ingest.packet import BadPacket, BadReason
from ingest.profile import Birth, Status
from ingest.refusal import DECODE_ERRORS, quoted, refused, too_large

T = TypeVar("T")

_birth = msgspec.json.Decoder(Birth)
_status = msgspec.json.Decoder(Status)
_command: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)

COMMAND_NAMES = tuple(kind.__struct_config__.tag for kind in get_args(Command))


def encode_birth(birth: Birth) -> bytes:
    """Encode a birth; publish it retained."""
    return msgspec.json.encode(birth)


def encode_status(status: Status) -> bytes:
    """Encode a status; publish it retained, and give the offline one to the broker as last will."""
    return msgspec.json.encode(status)


def encode_command(command: Command) -> bytes:
    """Encode a command."""
    return msgspec.json.encode(command)


def decode_birth(payload: bytes, device: str) -> Birth | BadPacket:
    """Decode a birth and check that it is of the device that the topic names.

    Examples
    --------
    >>> decode_birth(b'{"version":7}', "w1").reason
    'wrong-version'
    """
    expected = (
        "a JSON object with version, device, birth and streams, as in the README: correct it and publish it again, "
        "retained (an empty retained message clears the broker's copy and says that the device leaves)"
    )
    birth = _document(payload, _birth, "bad-birth", expected)
    if isinstance(birth, Birth) and birth.device != device:
        return BadPacket(
            "wrong-device",
            f"the topic names device {device!r}, the birth claims {quoted(birth.device)!r}: "
            f"publish each device's birth on its own topic, with its own login",
        )
    return birth


def decode_status(payload: bytes) -> Status | BadPacket:
    """Decode a status."""
    expected = 'a JSON object such as {"state":"online"}, state being online, offline, zeroing or calibrating'
    return _document(payload, _status, "bad-status", expected)


def decode_command(payload: bytes) -> Command | BadPacket:
    """Decode a command."""
    expected = f"a JSON object with id, command ({', '.join(map(str, COMMAND_NAMES))}) and what that command needs"
    return _document(payload, _command, "bad-command", expected)


def _document(payload: bytes, decoder: msgspec.json.Decoder[T], reason: BadReason, expected: str) -> T | BadPacket:
    """Decode one JSON document, or say why not."""
    if bad := too_large(payload):
        return bad
    try:
        return decoder.decode(payload)
    except DECODE_ERRORS as error:
        return refused(payload, error, reason, expected)
