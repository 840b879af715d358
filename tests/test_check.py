"""`femtoward check`: a device maker's first look at what a payload is and what is wrong with it."""

from pathlib import Path

import pytest
from commandline import Run, refused
from msgspec.structs import replace
from wire import ECG, birth_of

from ingest.codec import encode_bundle, encode_packet
from ingest.command import Acknowledge
from ingest.documents import encode_birth, encode_command
from ingest.packet import Block, Packet


@pytest.fixture
def payloads(tmp_path: Path) -> dict[str, Path]:
    """Payloads as a device maker would have them in files."""
    block = Block(0, 0, 1, 0.015, bytes(ECG.n_bytes))
    packet = Packet(1, "w1", "b1", 0, 7, 1_700_000_000_000_000_000, 1, (block,))
    short = replace(packet, blocks=(replace(block, samples=bytes(100)),))
    contents = {
        "birth.json": encode_birth(birth_of("w1", "p1")),
        "packet.bin": encode_packet(packet),
        "packet.json": encode_packet(packet, "json"),
        "short.bin": encode_packet(short),
        "bundle.bin": encode_bundle("g1", [packet, short]),
        "command.json": encode_command(Acknowledge(id="c1", patient="p1", alarm="a1")),
        "status.json": b'{"state":"online"}',
        "bad-birth.json": encode_birth(birth_of("w1", "p1")).replace(b'"dtype":"i2"', b'"dtype":"i9"'),
        "bad-status.json": b'{"state":"asleep"}',
        "other.bin": encode_packet(replace(packet, device="w2")),
        "both.bin": encode_bundle("g1", [packet, replace(packet, device="w2")]),
        "cut.json": encode_packet(packet, "json")[:100],
        "blank.json": b"\n" + encode_packet(packet, "json"),
        "strange.json": b'{"colour":"red"}',
        "rubbish.bin": b"\x00\x01rubbish",
        "ward.toml": b"[ward]\nshards = 3\n",
        "bad.toml": b"[ward]\nshard = 3\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("birth.json", "birth", "device w1, birth 0, 1 streams"),
        ("packet.bin", "packet", "mcg from sample 0: 0 to 0 pT; flags locked"),
        ("packet.json", "packet", "device w1, boot b1, seq 7"),
        ("command.json", "command", "Acknowledge"),
        ("status.json", "status", "online"),
        ("ward.toml", "settings", "3 shards"),
    ],
)
def test_check_tells_what_a_file_is(femtoward: Run, payloads: dict[str, Path], name: str, what: str, said: str) -> None:
    outcome = femtoward("check", payloads[name], "--birth", payloads["birth.json"])
    assert outcome.status == 0
    assert outcome.out.startswith(f"{payloads[name]}: {what}, ok\n")
    assert said in outcome.out


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("short.bin", "packet", "wrong-length: stream 0 'mcg': 100 bytes came"),
        ("bundle.bin", "bundle", "packet 1: wrong-length"),
        ("other.bin", "packet", "wrong-device: the packet is of device 'w2', the birth given with --birth of 'w1'"),
        ("cut.json", "unknown", "100 bytes came that cannot be read: Input data was truncated"),
        ("blank.json", "packet", "JSON must open with '{' as its very first byte"),
        ("strange.json", "unknown", "a JSON object came with the members ['colour']: need one of streams"),
        ("bad-birth.json", "birth", "bad-birth"),
        ("bad-status.json", "status", "bad-status"),
        ("rubbish.bin", "unknown", "none of birth, packet, bundle, status, command, settings"),
        ("bad.toml", "settings", "bad.toml: ward.shard is unknown: did you mean 'shards'?"),
    ],
)
def test_check_tells_what_is_wrong(femtoward: Run, payloads: dict[str, Path], name: str, what: str, said: str) -> None:
    outcome = femtoward("check", payloads[name], "--birth", payloads["birth.json"], "--json")
    assert outcome.status == 1
    assert (outcome.json["what"], outcome.json["ok"]) == (what, False)
    assert any(said in words for words in outcome.json["wrong"])


def test_check_goes_by_the_topic_where_there_is_one(femtoward: Run, payloads: dict[str, Path]) -> None:
    birth, packet = payloads["birth.json"], payloads["packet.bin"]
    other = femtoward("check", packet, "--birth", birth, "--topic", "femtoward/v1/s/w2/data")
    assert "wrong-device" in other.out
    assert femtoward("check", birth, "--topic", "femtoward/v1/s/w1/status").status == 1
    refused(femtoward("check", birth, "--topic", "w1/birth"), "--topic: topic 'w1/birth' is none of")
    refused(femtoward("check", packet, "--birth", packet), "--birth", "bad-birth")


def test_packets_of_others_in_a_bundle_are_checked_as_far_as_can_be(femtoward: Run, payloads: dict[str, Path]) -> None:
    outcome = femtoward("check", payloads["both.bin"], "--birth", payloads["birth.json"])
    assert outcome.status == 0
    assert "packet 0: device w1, boot b1, seq 7" in outcome.out
    assert "packet 1: device w2: the header is good; give --birth FILE" in outcome.out


def test_check_without_a_birth_says_that_blocks_were_not_checked(femtoward: Run, payloads: dict[str, Path]) -> None:
    outcome = femtoward("check", payloads["packet.bin"])
    assert outcome.status == 0
    assert "give --birth FILE to check the blocks too" in outcome.out
