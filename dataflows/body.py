"""How a row becomes bytes: MessagePack with one bit pattern for NaN, so that equal rows are equal bytes."""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

from dataflows.events import NAN, Row

R = TypeVar("R", bound=Row)

_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: Mapping[str, msgspec.msgpack.Decoder[Any]] = {
    kind.kind: msgspec.msgpack.Decoder(kind) for kind in get_args(Row)
}
# A MessagePack float64 that may be a NaN other than 7ff8000000000000 (0/0 on x86 has the sign bit set).
_ODD_NAN = re.compile(rb"\xcb(?:\xff[\xf0-\xff]|\x7f(?:[\xf1-\xf7\xf9-\xff]|[\xf0\xf8](?!\0{6})))", re.DOTALL)


def encode(row: Row) -> bytes:
    """Bytes of a row; two rows that say the same give the same bytes.

    Raises
    ------
    TypeError
        A field holds a NumPy scalar: make it a Python number (``.item()``, ``.tolist()``) where the row is made.
    """
    body = _ENCODER.encode(row)
    if _ODD_NAN.search(body):
        return _ENCODER.encode(_canonical(msgspec.msgpack.decode(body)))
    return body


def decode(kind: type[R], body: bytes) -> R:
    """Row of a known type out of its bytes."""
    row: R = _DECODERS[kind.kind].decode(body)
    return row


def decode_named(kind: str, body: bytes) -> Row:
    """Row out of its bytes and the name of its kind."""
    row: Row = _DECODERS[kind].decode(body)
    return row


def says_same(kind: str, kept: bytes, body: bytes) -> bool:
    """Whether a kept row says what another one says, though an older version wrote it, with fewer fields."""
    return kept == body or encode(decode_named(kind, kept)) == body


def _canonical(value: Any) -> Any:  # noqa: ANN401 - whatever MessagePack holds
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return NAN if isinstance(value, float) and math.isnan(value) else value
