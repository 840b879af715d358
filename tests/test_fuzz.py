"""No bytes whatever make a decoder raise, and whatever it accepts or says can be written down again."""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import births, born_packets, commands, mutated, packet_of, statuses, wearable

from ingest.codec import (
    decode_birth,
    decode_bundle,
    decode_command,
    decode_packet,
    decode_status,
    device_of,
    encode_birth,
    encode_bundle,
    encode_command,
    encode_packet,
    encode_status,
)
from ingest.packet import BadPacket, Packet, samples
from ingest.profile import Birth
from ingest.topics import parse_topic

BIRTH = wearable("w1")
PACKET = packet_of(BIRTH)
FLOATS = msgspec.structs.replace(BIRTH, streams=(msgspec.structs.replace(BIRTH.streams[0], dtype="f4"),))

HOSTILE = [
    b"",
    b"{",
    b"\xc1",
    b"\x91" * 200_000,
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b'{"blocks":' + b"[" * 200_000,
    b'{"version":' + b"9" * 100_000 + b"}",
    b'{"version":1e999}',
    b'{"device":"\\ud800"}',
    b'{"device":"\\udc00\\ud800"}',
    b'{"device":"\xed\xa0\x80"}',
    b'{"device":"\xff"}',
    b'{"\xff":1}',
    b'{"version":NaN}',
    b"\x98\x01\xdb\xff\xff\xff\xff",
    b"\x98\x01\xa2w1\xa1b\x00\x00\x00\x00\xdd\xff\xff\xff\xff",
    b"\x98\x01\xa2w1\xa1b\x00\x00\x00\x00\x91\x95\x00\x00\x00\x00\xc6\xff\xff\xff\xff",
    b"\x98\xcf" + b"\xff" * 8 + b"\xa2w1\xa1b\x00\xcf" + b"\xff" * 8 + b"\x00\x00\x90",
    b"\xdd\xff\xff\xff\xff" + b"\x01" * 50,
    b"\xdf\xff\xff\xff\xff" + b"\x01" * 50,
    b"\xc9\xff\xff\xff\xff\x01",
    b"\x93\x01\xa1g\x91" + b"\x91" * 200_000,
    b'{"version":1,"gateway":"g","packets":[' + b"[" * 200_000,
]


def all_decoders(payload: bytes) -> list[object]:
    """What every decoder makes of a payload; each refusal must be a value that can be stored as UTF-8."""
    came: list[object] = [
        decode_packet(payload, "w1", None),
        decode_packet(payload, "w1", BIRTH),
        decode_packet(payload, "w1", FLOATS),
        decode_birth(payload, "w1"),
        decode_status(payload),
        decode_command(payload),
        decode_bundle(payload),
        device_of(payload),
    ]
    for value in came:
        stored = msgspec.msgpack.encode(value)
        if isinstance(value, BadPacket):
            assert msgspec.msgpack.decode(stored, type=BadPacket) == value
            assert 10 < len(value.detail) < 700
            assert value.detail.isprintable()
    return came


@pytest.mark.parametrize("payload", HOSTILE, ids=lambda payload: repr(payload[:24]))
def test_hostile_bytes_are_refused(payload: bytes) -> None:
    assert all(isinstance(value, BadPacket | list) for value in all_decoders(payload)[:6])


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_random_bytes_never_raise(payload: bytes) -> None:
    all_decoders(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)
NAMES = ("version", "device", "boot", "birth", "seq", "t0_ns", "clock", "blocks", "streams", "packets", "id")
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, json_values))


@given(fields)
def test_any_json_object_never_raises(value: dict[str, object]) -> None:
    whole = {"version": 1, "device": "w1", "boot": "b", "birth": 0, "seq": 0, "t0_ns": 0, "clock": 0, "blocks": []}
    try:
        payload = msgspec.json.encode(whole | value)
    except (UnicodeEncodeError, OverflowError):
        return  # not JSON to begin with
    all_decoders(payload)


messagepack_values = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=9) | st.just("w1"),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=30,
)


@given(st.lists(messagepack_values, max_size=9))
def test_any_messagepack_array_never_raises(value: list[object]) -> None:
    all_decoders(msgspec.msgpack.encode(value))
    all_decoders(msgspec.msgpack.encode([1, "w1", "b", 0, 0, 0, 0, value]))
    all_decoders(msgspec.msgpack.encode([1, "w1", "b", 0, 0, 0, 0, [[0, 0, 0, *value]]]))


messages = st.one_of(
    st.sampled_from(
        [
            encode_packet(PACKET),
            encode_packet(PACKET, "json"),
            encode_bundle("g", [PACKET, PACKET]),
            encode_birth(BIRTH),
        ]
    ),
    born_packets().map(lambda born: encode_packet(born[1])),
    born_packets().map(lambda born: encode_packet(born[1], "json")),
    births().map(encode_birth),
    statuses.map(encode_status),
    commands().map(encode_command),
)


@given(mutated(messages))
@settings(max_examples=300)
def test_valid_messages_that_were_damaged_never_raise(payload: bytes) -> None:
    all_decoders(payload)


@given(born_packets(), st.data())
def test_a_damaged_packet_is_refused_or_is_a_packet_that_fits_its_birth(
    born: tuple[Birth, Packet], data: st.DataObject
) -> None:
    birth, packet = born
    payload = data.draw(mutated(st.sampled_from([encode_packet(packet), encode_packet(packet, "json")])))
    came = decode_packet(payload, packet.device, birth)
    if isinstance(came, Packet):
        for block in came.blocks:
            profile = birth.streams[block.stream]
            assert samples(block, profile).shape == (profile.n_channels, profile.block_len)
        assert decode_packet(encode_packet(came), packet.device, birth) == came


@given(st.text(max_size=80))
@example("femtoward/v1/s/d/data\n")
@example("femtoward/v1/s/\ud800/data")
def test_any_topic_is_taken_apart_or_refused(topic: str) -> None:
    parsed = parse_topic(topic)
    if isinstance(parsed, BadPacket):
        assert parsed.reason == "unknown-topic"
        msgspec.msgpack.encode(parsed)
