"""The words in which a message is refused: what came, what was expected, what to do."""

from typing import Final

import msgspec

from ingest.packet import BadPacket, BadReason
from ingest.profile import MAX_PAYLOAD_BYTES, WIRE_VERSION

# All that msgspec raises on hostile bytes: malformed or mistyped, text that is no UTF-8, nesting without end.
DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
MAX_WORDS = 160  # of what came, quoted in a detail: a sender must not fill our logs

# Read only the version, so that a packet of another version is called so, whatever else changed in it.


class _VersionInArray(msgspec.Struct, array_like=True):
    version: int


class _VersionInObject(msgspec.Struct):
    version: int


_array_version = msgspec.msgpack.Decoder(_VersionInArray)
_object_version = msgspec.json.Decoder(_VersionInObject)


def is_json(payload: bytes) -> bool:
    """Whether a payload is to be read as JSON: ``{`` opens it (as MessagePack that byte would be the number 123)."""
    return payload[:1] == b"{"


def too_large(payload: bytes) -> BadPacket | None:
    """Refuse a payload beyond the limit, unread."""
    if len(payload) <= MAX_PAYLOAD_BYTES:
        return None
    return BadPacket(
        "too-large",
        f"{len(payload)} bytes came, at most {MAX_PAYLOAD_BYTES} are taken: send shorter packets or smaller bundles",
    )


def refused(payload: bytes, error: Exception, reason: BadReason, expected: str) -> BadPacket:
    """Refuse a payload that a decoder could not read.

    Parameters
    ----------
    payload
        What came.
    error
        One of `DECODE_ERRORS`.
    reason
        The reason, unless the payload says that it is of another version.
    expected
        What would have been right, and what to do.
    """
    if (version := _version_of(payload)) not in (None, WIRE_VERSION):
        return wrong_version(version)
    if isinstance(error, RecursionError):
        came = "it nests without end"
    elif isinstance(error, UnicodeError):
        came = "it holds text that is not UTF-8"
    else:
        came = quoted(str(error))
    if not payload:
        came = "it is empty"
    elif not is_json(payload) and payload[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        came = "JSON must open with '{' as its very first byte, without mark or space before it"
    elif "out of range" in came and reason == "undecodable":
        reason = "out-of-range"
    return BadPacket(reason, f"{len(payload)} bytes came that cannot be read: {came}; expected {expected}")


def wrong_version(version: object) -> BadPacket:
    """Refuse another version of the wire contract."""
    return BadPacket(
        "wrong-version",
        f"version {quoted(str(version))} came, version {WIRE_VERSION} is spoken here: "
        f"set the device to version {WIRE_VERSION}, or update this server",
    )


def quoted(text: str) -> str:
    """Text of a stranger, short and printable."""
    clean = text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
    return clean if len(clean) <= MAX_WORDS else f"{clean[:MAX_WORDS]}..."


def _version_of(payload: bytes) -> int | None:
    """The version that a payload claims, if so much of it can be read."""
    try:
        return (_object_version if is_json(payload) else _array_version).decode(payload).version
    except DECODE_ERRORS:
        return None
