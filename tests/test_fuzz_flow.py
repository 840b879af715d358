"""Damaged packets and rubbish through fold and shards: no crash, every one counted once, and nothing grows.

FEMTOWARD_FUZZ sets how many of each; the promise is made for a million.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import msgspec
import pytest
from wire import SECOND_NS, T0_NS, beating, birth_of, packets

from dataflows.events import Answer, Bad, Ledger
from dataflows.fold import Fold
from dataflows.items import Data, Item
from dataflows.shard import Row, Shard
from ingest.bundle import decode_bundle, device_of, encode_bundle
from ingest.codec import decode_packet, encode_packet
from ingest.command import Acknowledge, Admit, Command, Discharge, Transfer
from ingest.documents import decode_birth, decode_command, decode_status, encode_birth, encode_command, encode_status
from ingest.journal import Record, RecordKind
from ingest.packet import BadPacket, Packet
from ingest.profile import Birth, Status
from ingest.registry import MAX_COMMANDS
from ingest.topics import bundle_topic, command_topic, parse_topic, topic_of

MANY = int(os.environ.get("FEMTOWARD_FUZZ", "3000"))
BATCH = 500
ROOM_BYTES = 10_000  # of the fold: refusals of the minute, spans of missing packets
DEVICE_BYTES = 24_000  # that a shard keeps of a device at the most
DEVICES = [f"w{number}" for number in range(8)]
SENT = packets("w0", beating(4.0))


class Siege:
    """A ward that is fed payload by payload, one a millisecond, with ticks; what came out is summed up."""

    def __init__(self) -> None:
        self.fold, self.shards = Fold(2), [Shard(), Shard()]
        self.offset, self.now_ns = 0, T0_NS
        self.ledgers: dict[tuple[str, int], Ledger] = {}
        self.refused: Counter[str] = Counter()  # by reason
        self.refused_commands: Counter[str] = Counter()
        self.answers = self.passed = 0
        self.records: list[Record] = []
        for device in DEVICES:
            self.take(topic_of("s", device, "birth"), encode_birth(birth_of(device, device.replace("w", "p"))))
        random = Random(0)  # noqa: S311 - commands are no secret
        for number in range(MAX_COMMANDS):  # so many are remembered: what is bounded is full from the start
            self.take(command_topic("s", "nurse"), encode_command(command(random, -1 - number)))

    def take(self, topic: str, payload: bytes, kind: int = RecordKind.MESSAGE) -> None:
        self.now_ns += SECOND_NS // 1000
        self.records.append(Record(self.offset, self.now_ns, RecordKind(kind), topic, payload))
        self.offset += 1
        if self.offset % 250 == 0:
            self.take("", b"", RecordKind.TICK)
        elif len(self.records) >= BATCH:
            self.flow()

    def flow(self) -> None:
        parts = list[list[Item]]([[], []])
        for where, content in self.fold.feed(self.records):
            if where is None:
                self._count(content)  # type: ignore[arg-type]  # what has no shard is a row
            else:
                parts[where].append(content)  # type: ignore[arg-type]  # and what has one is an item
                self.passed += isinstance(content, Data)
        self.records = []
        for shard, part in zip(self.shards, parts, strict=True):
            for row in shard.feed(part):
                self._count(row)

    def _count(self, row: Row | Bad | Ledger) -> None:
        if isinstance(row, Ledger):
            assert row.published == row.stored + row.quarantined + row.lost
            self.ledgers[row.device, row.hour] = row
        elif isinstance(row, Bad):
            of = self.refused_commands if "/ward/cmd/" in row.topic else self.refused
            of[row.reason] += row.count
        elif isinstance(row, Answer):
            self.answers += 1

    def end(self) -> None:
        """Let two minutes pass, so that all is told that was counted."""
        for _ in range(480):
            self.now_ns += SECOND_NS // 4
            self.take("", b"", RecordKind.TICK)
        self.flow()

    def fold_bytes(self) -> int:
        return len(self.fold.image())

    def shard_bytes(self) -> int:
        return sum(len(shard.image()) for shard in self.shards)

    def ledger(self, count: str) -> int:
        return sum(getattr(row, count) for row in self.ledgers.values())


def damaged(random: Random, whole: bytes) -> bytes:
    """Bytes that were valid: some changed, cut off, doubled, put in or taken out."""
    data = bytearray(whole)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(data)) if data else 0
        match random.randrange(5):
            case 0 if data:
                data[at] = random.randrange(256)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = random.randbytes(random.randint(1, 9))
            case 3:
                del data[at : at + random.randint(1, 9)]
            case _:
                data[at:at] = data[at : at + 40]
    return bytes(data)


def packet(random: Random, seqs: Counter[str]) -> Packet:
    """The next packet of some device."""
    device = random.choice(DEVICES)
    seq = seqs[device]
    seqs[device] += 1
    like = SENT[seq % len(SENT)]
    block = msgspec.structs.replace(like.blocks[0], first_sample=seq * 125)
    return msgspec.structs.replace(like, device=device, seq=seq, t0_ns=T0_NS + seq * SECOND_NS // 4, blocks=(block,))


def command(random: Random, number: int) -> Command:
    patient, device = f"p{random.randrange(8)}", random.choice(DEVICES)
    kinds: tuple[Command, ...] = (
        Acknowledge(id=f"c{number}", patient=patient, alarm="0123456789"),
        Admit(id=f"c{number}", patient=patient, device=device, bed=random.choice((None, "b1"))),
        Transfer(id=f"c{number}", patient=patient, bed="b2"),
        Discharge(id=f"c{number}", patient=patient),
    )
    return kinds[random.choice((0, 0, 0, 1, 1, 2, 3))]


def messages(seed: int) -> Iterator[tuple[str, bytes]]:
    """Topic and payload: packets in both codecs, bundles, commands, most of them damaged."""
    random, seqs, number = Random(seed), Counter[str](), 0  # noqa: S311 - rubbish is no secret
    while True:
        number += 1
        kind = random.randrange(20)
        if kind < 15:
            one = packet(random, seqs)
            topic, whole = topic_of("s", one.device, "data"), encode_packet(one, random.choice(("msgpack", "json")))
        elif kind < 18:
            bundle = [packet(random, seqs) for _ in range(random.randint(1, 3))]
            topic, whole = bundle_topic("s", "g"), encode_bundle("g", bundle)
        else:
            topic, whole = command_topic("s", "nurse"), encode_command(command(random, number))
        yield topic, whole if random.random() < 0.2 else damaged(random, whole)


def flat(sizes: Sequence[int], room: int) -> bool:
    """Whether something is as large after all messages as after half of them; `room` is for what comes and goes."""
    half, whole = sizes
    return whole < 1.1 * half + room


@pytest.mark.parametrize("seed", [1])
def test_damaged_messages_are_each_counted_once_and_nothing_grows(seed: int) -> None:
    siege, sizes, objects = Siege(), list[int](), list[int]()
    of_devices = of_nobody = commands = refused_commands = 0
    for number, (topic, payload) in zip(range(MANY), messages(seed), strict=False):
        siege.take(topic, payload)
        if topic.endswith("nurse"):
            bad = isinstance(decode_command(payload), BadPacket)
            commands, refused_commands = commands + 1, refused_commands + bad
        elif "gateway" in topic:
            bundle = decode_bundle(payload, "g")
            names = [None] if isinstance(bundle, BadPacket) else [device_of(one) for one in bundle]
            known = sum(name in DEVICES for name in names)
            of_devices, of_nobody = of_devices + known, of_nobody + len(names) - known
        else:
            of_devices += 1
        if number in (MANY // 2, MANY - 1):
            siege.flow()
            gc.collect()
            sizes.append(siege.fold_bytes())
            assert siege.shard_bytes() < len(DEVICES) * DEVICE_BYTES
            objects.append(len(gc.get_objects()))
    siege.end()
    quarantined, repeated = siege.ledger("quarantined"), siege.ledger("repeated")
    assert siege.ledger("stored") + quarantined + repeated == of_devices
    # One that was refused may be a repeat as well.
    assert 0 <= sum(siege.refused.values()) - quarantined - of_nobody <= repeated
    assert sum(siege.refused_commands.values()) == refused_commands
    assert siege.passed > 0
    assert flat(sizes, ROOM_BYTES)
    assert flat(objects, 1000)
    assert commands > refused_commands > 0


TOPICS = [
    *(topic_of("s", device, leaf) for device in DEVICES for leaf in ("data", "birth", "status")),
    *(topic_of(f"s{n}", f"stranger{n}", "data") for n in range(50)),
    bundle_topic("s", "g"),
    command_topic("s", "nurse"),
    "femtoward/v1/s/w1",
    "elsewhere",
]
DOCUMENTS = [
    encode_birth(birth_of("w1", "p1", number=3)),
    encode_status(Status(state="online")),
    encode_packet(SENT[0]),
    b"[" * 2000,
    b"\x91" * 2000,
    b'{"version":1e999}',
    b"",
]


def refusals_due(topic: str, payload: bytes, births: dict[str, Birth]) -> int:
    """How many times a payload is to be refused, by what the decoders say of it; births are noted."""
    where = parse_topic(topic)
    if isinstance(where, BadPacket):
        return 1
    key = f"{where.site}/{where.name}"
    found: list[object] = []
    match where.leaf:
        case "birth" if payload:
            found = [birth := decode_birth(payload, where.name)]
            if isinstance(birth, Birth):
                births[key] = birth
        case "birth":
            births.pop(key, None)
        case "status" if payload:
            found = [decode_status(payload)]
        case "command":
            found = [decode_command(payload)]
        case "data":
            found = [decode_packet(payload, where.name, births.get(key))]
        case "bundle":
            found = [decode_bundle(payload, where.name)]
    return sum(isinstance(one, BadPacket) for one in found)


@pytest.mark.parametrize("seed", [2])
def test_any_payload_on_any_topic_is_refused_once_or_taken_and_nothing_grows(seed: int) -> None:
    random, siege, sizes = Random(seed), Siege(), list[int]()  # noqa: S311 - rubbish is no secret
    births = {f"s/{device}": birth_of(device, device.replace("w", "p")) for device in DEVICES}
    due = 0
    for number in range(MANY):
        like = random.choice(DOCUMENTS)
        payload = random.randbytes(random.randrange(60)) if random.random() < 0.5 else damaged(random, like)
        topic = random.choice(TOPICS)
        siege.take(topic, payload)
        due += refusals_due(topic, payload, births)
        if number in (MANY // 2, MANY - 1):
            siege.flow()
            sizes.append(siege.fold_bytes())
            assert siege.shard_bytes() < len(DEVICES) * DEVICE_BYTES
    siege.end()
    assert sum(siege.refused.values()) + sum(siege.refused_commands.values()) == due
    assert due > 0.8 * MANY
    assert flat(sizes, ROOM_BYTES)
