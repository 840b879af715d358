"""A group of records as one short string of bytes, and back again to the bit; pure."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec
import numpy as np

from ingest.packet import Packet
from ingest.planes import Parts, Run, join, split, squeeze, unsqueeze
from ingest.refusal import DECODE_ERRORS, is_json
from ingest.segments import Record, RecordKind
from ingest.topics import Topic, parse_topic


class _Group(msgspec.Struct, frozen=True, array_like=True):
    """Records side by side; all numbers as little-endian integers of 8 bytes, squeezed."""

    first: int  # offset
    arrivals_ns: bytes  # as differences
    kinds: bytes  # a byte each
    topics: bytes  # a MessagePack array, squeezed
    sizes: bytes  # of the payloads
    payloads: Parts


class _Bundle(msgspec.Struct, frozen=True, array_like=True):
    """A bundle whose packets are read as they lie in it."""

    version: int
    gateway: str
    packets: list[Packet]


_group = msgspec.msgpack.Decoder(_Group)
_topics = msgspec.msgpack.Decoder(list[str])
_packet = msgspec.msgpack.Decoder(Packet)
_bundle = msgspec.msgpack.Decoder(_Bundle)


def encode_group(records: Sequence[Record]) -> bytes:
    """Encode records that follow each other by offset, at least one.

    Examples
    --------
    >>> records = [Record(7 + i, 10**18 + i, 0, "femtoward/v1/east/d1/data", b"xyz" * i) for i in range(3)]
    >>> decode_group(encode_group(records)) == records
    True
    """
    starts = accumulate((len(record.payload) for record in records), initial=0)
    runs = [
        Run(start + run.start, run.size)
        for start, record in zip(starts, records, strict=False)
        for run in _samples(record)
    ]
    return msgspec.msgpack.encode(
        _Group(
            first=records[0].offset,
            arrivals_ns=_squeezed(np.diff([record.arrival_ns for record in records], prepend=0).tolist()),
            kinds=squeeze(bytes(record.kind for record in records)),
            topics=squeeze(msgspec.msgpack.encode([record.topic for record in records])),
            sizes=_squeezed([len(record.payload) for record in records]),
            payloads=split(b"".join([record.payload for record in records]), runs),
        )
    )


def decode_group(data: bytes) -> list[Record]:
    """Give back the records of a group."""
    group = _group.decode(data)
    payloads = join(group.payloads)
    arrivals = accumulate(_unsqueezed(group.arrivals_ns))
    ends = accumulate(_unsqueezed(group.sizes), initial=0)
    start = next(ends)
    records = []
    headers = zip(arrivals, unsqueeze(group.kinds), _topics.decode(unsqueeze(group.topics)), ends, strict=True)
    for offset, (arrival_ns, kind, topic, end) in enumerate(headers, group.first):
        records.append(Record(offset, arrival_ns, kind, topic, payloads[start:end]))
        start = end
    return records


def _samples(record: Record) -> Iterator[Run]:
    """Where samples lie in a payload that is a packet or a bundle; what cannot be read has none."""
    if record.kind != RecordKind.MESSAGE or is_json(record.payload):
        return
    topic = parse_topic(record.topic)
    leaf = topic.leaf if isinstance(topic, Topic) else ""
    try:
        if leaf == "data":
            packets = [_packet.decode(record.payload)]
        elif leaf == "bundle":
            packets = _bundle.decode(record.payload).packets
        else:
            return
    except DECODE_ERRORS:
        return
    at = 0
    for packet in packets:
        for block in packet.blocks:
            # If the same bytes came earlier by chance, nothing is lost but a little room.
            at = record.payload.find(block.samples, at)
            yield Run(at, len(block.samples))
            at += len(block.samples)


def _squeezed(numbers: Sequence[int]) -> bytes:
    return squeeze(np.array(numbers, "<i8").tobytes())


def _unsqueezed(data: bytes) -> list[int]:
    numbers: list[int] = np.frombuffer(unsqueeze(data), "<i8").tolist()
    return numbers
