"""The wire contract: both codecs give the same value, and every reason to refuse is named and put in words."""

import base64
import json
import math
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_array_equal
from strategies import births, born_packets, commands, packet_of, statuses, wearable

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
from ingest.command import Acknowledge, Command
from ingest.packet import BadPacket, BadReason, Block, Packet, counts, raw_bytes, samples
from ingest.profile import MAX_PAYLOAD_BYTES, Birth, Dtype, Status, StreamProfile
from ingest.sequence import StreamCursor, backwards
from ingest.topics import parse_topic

BIRTH = wearable("w1")
PACKET = packet_of(BIRTH, seq=4)


def changed(**fields: Any) -> bytes:  # noqa: ANN401 - any field, any value
    """A packet of the wearable with some fields of its header changed."""
    return encode_packet(msgspec.structs.replace(PACKET, **fields))


def block_changed(index: int, **fields: Any) -> bytes:  # noqa: ANN401 - any field, any value
    """A packet of the wearable with some fields of one block changed."""
    blocks = list(PACKET.blocks)
    blocks[index] = msgspec.structs.replace(blocks[index], **fields)
    return changed(blocks=tuple(blocks))


def as_json(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any field, any value
    """The packet as a JSON object that a test may change."""
    return {**json.loads(encode_packet(PACKET, "json")), **fields}


def refusal(payload: bytes, birth: Birth | None = BIRTH) -> BadPacket:
    """The refusal of a payload as device w1's packet."""
    bad = decode_packet(payload, "w1", birth)
    assert isinstance(bad, BadPacket), bad
    return bad


@given(born_packets())
def test_a_packet_comes_back_from_both_codecs_as_the_same_value(born: tuple[Birth, Packet]) -> None:
    birth, packet = born
    assert decode_packet(encode_packet(packet), packet.device, birth) == packet
    assert decode_packet(encode_packet(packet, "json"), packet.device, birth) == packet


@given(born_packets())
def test_plain_numbers_in_json_decode_to_the_same_bytes_as_base64(born: tuple[Birth, Packet]) -> None:
    birth, packet = born
    for nested in (False, True):
        whole = json.loads(encode_packet(packet, "json"))
        for block in whole["blocks"]:
            profile = birth.streams[block["stream"]]
            values = counts(base64.b64decode(block["samples"]), profile.dtype)
            if not np.isfinite(values).all():
                return  # JSON has no NaN
            block["samples"] = values.reshape(profile.n_channels, -1).tolist() if nested else values.tolist()
        assert decode_packet(json.dumps(whole).encode(), packet.device, birth) == packet


@given(births())
def test_a_birth_comes_back_as_the_same_value(birth: Birth) -> None:
    assert decode_birth(encode_birth(birth), birth.device) == birth


@given(statuses)
def test_a_status_comes_back_as_the_same_value(status: Status) -> None:
    assert decode_status(encode_status(status)) == status


@given(commands())
def test_a_command_comes_back_as_the_same_value(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_samples_come_back_from_their_bytes_and_integers_clip_at_their_range(dtype: Dtype) -> None:
    profile = StreamProfile(
        name="s",
        kind="mcg",
        sensor="opm-serf",
        rate_hz=4.0,
        n_channels=2,
        unit="pT",
        dtype=dtype,
        block_len=3,
        scale=0.5,
    )
    values = np.array([[0.0, 1.5, -2.0], [1e30, -1e30, 0.5]])
    back = samples(Block(0, 0, 1, 0.0, raw_bytes(values, profile)), profile)
    assert_array_equal(back[0], values[0])
    top = {"i2": 2.0**15, "i3": 2.0**23, "i4": 2.0**31}.get(dtype)
    expected = [np.float32(2e30) * 0.5, np.float32(-2e30) * 0.5] if top is None else [(top - 1) * 0.5, -top * 0.5]
    assert_array_equal(back[1, :2], expected)


def test_float_samples_may_be_nan_or_infinite() -> None:
    stream = msgspec.structs.replace(BIRTH.streams[0], dtype="f4", n_channels=1, block_len=3)
    birth = msgspec.structs.replace(BIRTH, streams=(stream,))
    block = Block(0, 0, 1, 0.0, np.array([math.nan, math.inf, -math.inf], "<f4").tobytes())
    packet = msgspec.structs.replace(PACKET, blocks=(block,))
    assert decode_packet(encode_packet(packet), "w1", birth) == packet
    assert_array_equal(samples(block, stream)[0], [math.nan, math.inf, -math.inf])
    signalling = msgspec.structs.replace(block, samples=b"\x01\x00\x80\x7f" * 3)
    assert np.isnan(samples(signalling, stream)).all()


def _with_samples(numbers: object) -> bytes:
    whole = as_json()
    whole["blocks"][4]["samples"] = numbers
    return json.dumps(whole).encode()


def _with_block(**fields: object) -> bytes:
    whole = as_json()
    whole["blocks"][4] |= fields
    return json.dumps(whole).encode()


REFUSED: list[tuple[BadReason, bytes, str]] = [
    ("undecodable", b"", "0 bytes came that cannot be read: it is empty"),
    ("undecodable", encode_packet(PACKET)[:-1], "truncated"),
    ("undecodable", encode_packet(PACKET) + b"\0", "trailing"),
    ("undecodable", b"\x98\x01\xa1\xff", "UTF-8"),
    ("undecodable", b"[" * 100, "cannot be read"),
    ("undecodable", b"  " + encode_packet(PACKET, "json"), "its very first byte"),
    ("undecodable", json.dumps(as_json(sequence=1)).encode(), "unknown field `sequence`"),
    ("undecodable", _with_samples("no base64!"), "base64"),
    ("undecodable", _with_samples([[[0.0]]]), "Expected `float`, got `array`"),
    ("undecodable", changed(blocks=PACKET.blocks * 4), "length <= 16"),
    ("wrong-version", changed(version=2), "version 2 came, version 1 is spoken here"),
    ("wrong-version", msgspec.msgpack.encode([2, {"all": "else"}]), "version 2 came"),
    ("wrong-version", b'{"version": 3, "new": "shape"}', "version 3 came"),
    ("wrong-device", changed(device="w2"), "topic names device 'w1', the packet claims 'w2'"),
    ("wrong-birth", changed(birth=3), "names birth 3, birth 0 is in force"),
    ("unknown-stream", block_changed(1, stream=5), "names stream 5, birth 0 has streams 0 to 4"),
    ("unknown-stream", block_changed(1, stream=-1), "names stream -1"),
    ("repeated-stream", block_changed(1, stream=0), "stream 0 'mcg' came twice"),
    (
        "wrong-length",
        block_changed(0, samples=bytes(996)),
        "stream 0 'mcg': 996 bytes came, 4 channels x 125 samples x i2 = 1000 expected",
    ),
    ("wrong-length", _with_samples([1, 2]), "2 numbers came, 1 channels x 1 samples expected"),
    ("wrong-length", _with_samples([[1], [2]]), "2 lists of [1] and 0 bare numbers came"),
    ("wrong-length", _with_samples([[]]), "1 lists of [0]"),
    ("out-of-range", changed(boot=""), "boot id"),
    ("out-of-range", changed(boot="b\n"), "boot id"),
    ("out-of-range", changed(boot="b" * 65), "boot id"),
    ("out-of-range", changed(seq=-1), "seq: -1 came, expected 0 to 2**53 - 1"),
    ("out-of-range", changed(seq=2**63), "seq"),
    ("out-of-range", changed(t0_ns=-1), "t0_ns"),
    ("out-of-range", changed(t0_ns=2**62), "t0_ns"),
    ("out-of-range", changed(clock=3), "clock: 3 came, expected 0 free-running"),
    ("out-of-range", changed(blocks=()), "number of blocks: 0 came, expected 1 to 16"),
    ("out-of-range", block_changed(0, first_sample=-1), "stream 0 'mcg': first_sample: -1 came"),
    ("out-of-range", block_changed(4, first_sample=2**53 - 1), "stream 4 'temperature': first_sample"),
    ("out-of-range", block_changed(0, flags=32), "stream 0 'mcg': flags: 32 came, expected a sum of 1 2 4 8 16"),
    ("out-of-range", block_changed(0, noise_floor=math.nan), "noise_floor: nan came, expected a finite number"),
    ("out-of-range", block_changed(0, noise_floor=math.inf), "noise_floor: inf came"),
    ("out-of-range", block_changed(0, noise_floor=-1.0), "noise_floor: -1.0 came"),
    ("out-of-range", _with_samples([32_768]), "sample 0 is 32768, whole counts from -32768 to 32767"),
    ("out-of-range", _with_samples([1.5]), "sample 0 is 1.5, whole counts"),
    ("out-of-range", json.dumps(as_json()).replace('"seq": 4', f'"seq": {"9" * 5000}').encode(), "out of range"),
    ("out-of-range", json.dumps(as_json()).replace('"seq": 4', f'"seq": {"9" * 100}').encode(), "seq: 999"),
    ("out-of-range", _with_block(noise_floor=0, flags=-1), "flags: -1"),
]


@pytest.mark.parametrize(("reason", "payload", "words"), REFUSED, ids=[f"{r}-{w[:30]}" for r, _, w in REFUSED])
def test_a_bad_packet_is_refused_by_name_and_in_words(reason: BadReason, payload: bytes, words: str) -> None:
    bad = refusal(payload)
    assert (bad.reason, words in bad.detail) == (reason, True), bad
    assert len(bad.detail) < 700


def test_a_packet_before_its_birth_is_refused_as_such() -> None:
    bad = refusal(encode_packet(PACKET), None)
    assert bad.reason == "no-birth"
    assert "publish the birth, retained, first" in bad.detail


def test_a_packet_over_the_size_limit_is_refused_unread() -> None:
    bad = refusal(bytes(10_000_000))
    assert bad.reason == "too-large"
    assert f"10000000 bytes came, at most {MAX_PAYLOAD_BYTES} are taken" in bad.detail
    for other in (
        decode_birth(bytes(10_000_000), "w1"),
        decode_command(bytes(10_000_000)),
        decode_bundle(bytes(10**7)),
    ):
        assert isinstance(other, BadPacket)
        assert other.reason == "too-large"


def test_a_refused_packet_keeps_its_place_in_the_sequence_where_it_could_be_read() -> None:
    assert (refusal(changed(birth=3)).boot, refusal(changed(birth=3)).seq) == ("b1", 4)
    assert (refusal(block_changed(0, samples=b"")).boot, refusal(block_changed(0, samples=b"")).seq) == ("b1", 4)
    assert refusal(changed(device="w2")).seq == -1
    assert refusal(encode_packet(PACKET)[:-1]).seq == -1


def test_noise_floor_may_be_left_out_of_json_only() -> None:
    whole = as_json()
    for block in whole["blocks"]:
        del block["noise_floor"]
    assert decode_packet(json.dumps(whole).encode(), "w1", BIRTH) == PACKET


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"streams": []}, "length >= 1"),
        ({"patinet": "p1"}, "unknown field `patinet`"),
        ({"device": "a b"}, "$.device"),
        ({"device": "w1\n"}, "$.device"),
        ({"birth": -1}, "$.birth"),
    ],
)
def test_a_bad_birth_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    bad = decode_birth(json.dumps({**json.loads(encode_birth(BIRTH)), **change}).encode(), "w1")
    assert isinstance(bad, BadPacket)
    assert bad.reason == "bad-birth"
    assert words in bad.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": 0}, "scale=0.0 came, need 0 < |scale| <= 1e+30"),
        ({"rate_hz": 0}, "$.streams[0].rate_hz"),
        ({"kind": "eeg"}, "$.streams[0].kind"),
        ({"n_channels": 257}, "$.streams[0].n_channels"),
        ({"positions_m": [[0, 0, 0]]}, "positions_m has 1 entries, need one per channel (4)"),
        ({"channel_noise": [0.01, 0.02]}, "channel_noise has 2 entries, need one per channel (4)"),
        ({"noise_floor": 0.02, "channel_noise": [0.01] * 4}, "need that of the noisiest channel (0.01)"),
        ({"name": "ppg"}, "are not all different"),
    ],
)
def test_a_bad_stream_in_a_birth_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    whole = json.loads(encode_birth(BIRTH))
    whole["streams"][0] |= change
    bad = decode_birth(json.dumps(whole).encode(), "w1")
    assert isinstance(bad, BadPacket)
    assert bad.reason == "bad-birth"
    assert words in bad.detail


def test_a_birth_of_another_device_or_version_is_refused_as_such() -> None:
    stranger = decode_birth(encode_birth(BIRTH), "w2")
    assert isinstance(stranger, BadPacket)
    assert stranger.reason == "wrong-device"
    newer = decode_birth(json.dumps({**json.loads(encode_birth(BIRTH)), "version": 2}).encode(), "w1")
    assert isinstance(newer, BadPacket)
    assert newer.reason == "wrong-version"


def test_an_empty_birth_is_none_but_it_is_told_what_an_empty_retained_one_means() -> None:
    bad = decode_birth(b"", "w1")
    assert isinstance(bad, BadPacket)
    assert "says that the device leaves" in bad.detail


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"state":"asleep"}', b'{"state":"online","why":""}', b"\x81"])
def test_a_bad_status_is_refused(payload: bytes) -> None:
    bad = decode_status(payload)
    assert isinstance(bad, BadPacket)
    assert bad.reason == "bad-status"
    assert "online, offline, zeroing or calibrating" in bad.detail


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"command":"launch","id":"1"}',
        b'{"command":"discharge","id":"1"}',
        b'{"command":"discharge","id":"a b","patient":"p1"}',
        b'{"command":"set-limits","id":"1","patient":"p1","vital":"hr","hihg":120}',
        b'{"command":"set-limits","id":"1","patient":"p1","vital":"hr","low":120,"high":50}',
        b'{"command":"shelve","id":"1","patient":"p1","condition":"asystole","seconds":0}',
    ],
)
def test_a_bad_command_is_refused_and_told_what_there_is(payload: bytes) -> None:
    bad = decode_command(payload)
    assert isinstance(bad, BadPacket)
    assert bad.reason == "bad-command"
    assert "acknowledge, shelve, unshelve, comment, mark, hasten, admit, discharge, transfer, set-limits" in bad.detail


def test_a_command_is_the_object_that_the_contract_shows() -> None:
    came = decode_command(b'{"command":"acknowledge","id":"c1","patient":"p1","alarm":"a1"}')
    assert came == Acknowledge(id="c1", patient="p1", alarm="a1")


def test_items_of_a_bundle_keep_their_own_verdicts() -> None:
    other = packet_of(wearable("w2"), seq=9)
    bundle = [1, "g1", [PACKET, "rubbish", msgspec.structs.replace(PACKET, seq=-1), other]]
    items = decode_bundle(msgspec.msgpack.encode(bundle), "g1")
    assert isinstance(items, list)
    assert [device_of(items[index]) for index in (0, 2, 3)] == ["w1", "w1", "w2"]
    stranger = device_of(items[1])
    assert isinstance(stranger, BadPacket)
    assert stranger.reason == "undecodable"
    assert decode_packet(items[0], "w1", BIRTH) == PACKET
    assert refusal(items[2]).reason == "out-of-range"
    assert decode_packet(items[3], "w2", wearable("w2")) == other


def test_a_bundle_in_json_gives_the_same_packets() -> None:
    whole = {"version": 1, "gateway": "g1", "packets": [as_json(), 7, as_json(device="w2")]}
    items = decode_bundle(json.dumps(whole, indent=2).encode(), "g1")
    assert isinstance(items, list)
    assert decode_packet(items[0], "w1", BIRTH) == PACKET
    assert isinstance(device_of(items[1]), BadPacket)
    assert device_of(items[2]) == "w2"


def test_a_bundle_in_a_bundle_is_refused_and_the_rest_is_taken() -> None:
    inner = [1, "w1", [PACKET]]
    items = decode_bundle(msgspec.msgpack.encode([1, "g1", [inner, PACKET]]), "g1")
    assert isinstance(items, list)
    assert refusal(items[0]).reason == "undecodable"
    assert decode_packet(items[1], "w1", BIRTH) == PACKET
    as_object = decode_bundle(json.dumps({"version": 1, "gateway": "g1", "packets": [{"gateway": "g"}]}).encode())
    assert isinstance(as_object, list)
    bad = device_of(as_object[0])
    assert isinstance(bad, BadPacket)
    assert "a bundle holds packets only, no bundles" in bad.detail


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (encode_bundle("g1", [PACKET])[:-1], "undecodable"),
        (encode_packet(PACKET), "undecodable"),
        (msgspec.msgpack.encode([2, "g1", []]), "wrong-version"),
        (encode_bundle("g2", [PACKET]), "wrong-device"),
        (b"\x93\x01\xa2g1\xdd\xff\xff\xff\xff", "undecodable"),
    ],
)
def test_a_bundle_that_cannot_be_taken_apart_is_refused_whole(payload: bytes, reason: BadReason) -> None:
    bad = decode_bundle(payload, "g1")
    assert isinstance(bad, BadPacket)
    assert bad.reason == reason


def test_every_reason_is_reached() -> None:
    reached = {refusal(payload).reason for _, payload, _ in REFUSED}
    reached |= {
        bad.reason
        for bad in (decode_status(b""), decode_command(b""), decode_birth(b"", "w1"))
        if isinstance(bad, BadPacket)
    }
    reached |= {refusal(bytes(MAX_PAYLOAD_BYTES + 1)).reason, refusal(encode_packet(PACKET), None).reason}
    reached.add(backwards(PACKET, PACKET.blocks[0], "mcg", StreamCursor(1000)).reason)
    unknown = parse_topic("elsewhere")
    assert isinstance(unknown, BadPacket)
    reached.add(unknown.reason)
    assert reached | {"flooding", "too-many-devices"} == set(get_args(BadReason))  # these two the fold gives
