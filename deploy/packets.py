"""Packets in a journal, counted without the flow: what its ledger says can be held against this."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from ingest.codec import decode_bundle
from ingest.journal import JournalReader, Record, RecordKind
from ingest.packet import BadPacket
from ingest.topics import Topic, parse_topic

BATCH = 2000


class Packets(NamedTuple):
    """How many packets were journalled, and how many different ones."""

    journalled: int
    distinct: int  # by device, boot and sequence number

    @property
    def repeated(self) -> int:
        """Packets that are there more than once."""
        return self.journalled - self.distinct


class _HeadInArray(msgspec.Struct, array_like=True):
    version: int
    device: str
    boot: str
    birth: int
    seq: int


class _HeadInObject(msgspec.Struct):
    version: int
    device: str
    boot: str
    birth: int
    seq: int


_array = msgspec.msgpack.Decoder(_HeadInArray)
_object = msgspec.json.Decoder(_HeadInObject)


def count_packets(journal: Path) -> Packets:
    """Count the packets of a journal, alone or in bundles; each that cannot be read counts as one of its own."""
    journalled = 0
    seen: set[tuple[str, str, int] | int] = set()
    with JournalReader(journal) as reader:
        offset = reader.first_offset
        while records := reader.read(offset, BATCH):
            offset = records[-1].offset + 1
            for payload in (payload for record in records for payload in _payloads(record)):
                seen.add(_identity(payload) or journalled)
                journalled += 1
    return Packets(journalled, len(seen))


def _payloads(record: Record) -> list[bytes]:
    if record.kind != RecordKind.MESSAGE:
        return []
    topic = parse_topic(record.topic)
    if not isinstance(topic, Topic):
        return []
    if topic.leaf == "data":
        return [record.payload]
    if topic.leaf == "bundle":
        packets = decode_bundle(record.payload)
        return [] if isinstance(packets, BadPacket) else packets
    return []


def _identity(payload: bytes) -> tuple[str, str, int] | None:
    try:
        head = (_object if payload[:1] == b"{" else _array).decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return head.device, head.boot, head.seq
