"""What lies in a journal, counted without the flow: which packets of the simulated devices, and what cannot be read."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from dataflows.events import Ledger
from dataflows.store import Store
from ingest.codec import decode_birth, decode_bundle, decode_packet, device_of
from ingest.journal import JournalReader, Record, RecordKind
from ingest.packet import BadPacket
from ingest.profile import Birth
from ingest.topics import Topic, parse_topic

AT_ONCE: Final = 2000
Name = tuple[str, int]  # boot, seq


class Inventory(NamedTuple):
    """Packets of some devices, each counted once, and how often it came."""

    packets: dict[str, Counter[Name]]  # by device
    unreadable: Counter[str]  # messages without a number that can be read, by device

    @property
    def distinct(self) -> int:
        """Different packets."""
        return sum(map(len, self.packets.values()))

    @property
    def repeated(self) -> int:
        """How often one came that had come before."""
        return sum(counts.total() - len(counts) for counts in self.packets.values())


class LedgerCheck(NamedTuple):
    """The ledger against an inventory; lines say what does not balance."""

    lost: int  # packets of the devices that the ledger says are lost
    wrong: list[str]


def take_inventory(journal: Path, site: str, devices: set[str]) -> Inventory:
    """Read a journal from its beginning to its end."""
    packets: dict[str, Counter[Name]] = {device: Counter() for device in devices}
    unreadable: Counter[str] = Counter()
    births: dict[str, Birth] = {}
    with JournalReader(journal) as reader:
        offset = reader.first_offset
        while records := reader.read(offset, AT_ONCE):
            offset = records[-1].offset + 1
            for record in records:
                for device, payload in _of_devices(record, site, devices, births):
                    packet = decode_packet(payload, device, births[device])
                    if packet.boot:
                        packets[device][packet.boot, packet.seq] += 1
                    else:
                        unreadable[device] += 1
    return Inventory(packets, unreadable)


def lost_of(acked: Path, inventory: Inventory) -> tuple[int, list[str]]:
    """Packets that the broker acknowledged: how many there are, and those that the journal does not have."""
    count, lost = 0, []
    with acked.open("rb") as lines:
        for line in lines:
            device, boot, seq = msgspec.json.decode(line, type=tuple[str, str, int])
            count += 1
            if (boot, seq) not in inventory.packets[device]:
                lost.append(f"{device} boot {boot} packet {seq}")
    return count, lost


def check_ledger(store: Store, site: str, inventory: Inventory) -> LedgerCheck:
    """Whether every hour of every device balances, and every simulated device's hours say what the journal holds."""
    wrong, lost = [], 0
    sums: dict[str, list[Ledger]] = {}
    for row in store.ledger():
        if row.published != row.stored + row.quarantined + row.lost:
            wrong.append(f"ledger of {row.device}, hour {row.hour}: {row} does not balance")
        if row.site == site:
            sums.setdefault(row.device, []).append(row)
    for device, packets in sorted(inventory.packets.items()):
        rows = sums.get(device, [])
        told = sum(row.stored + row.quarantined for row in rows)
        there = len(packets) + inventory.unreadable[device]
        lost += sum(row.lost for row in rows)
        if told != there:
            wrong.append(
                f"ledger of {device}: {told} packets stored or quarantined, the journal holds {len(packets)} different "
                f"ones and {inventory.unreadable[device]} that cannot be read"
            )
    return LedgerCheck(lost, wrong)


def _of_devices(record: Record, site: str, devices: set[str], births: dict[str, Birth]) -> Iterator[tuple[str, bytes]]:
    """Payloads that are or claim to be packets of the devices; births are noted, and nothing counts before them."""
    if record.kind not in {RecordKind.MESSAGE, RecordKind.OVERSIZE}:
        return
    topic = parse_topic(record.topic)
    if isinstance(topic, BadPacket) or topic.site != site:
        return
    if topic.leaf == "birth" and topic.name in devices and record.kind == RecordKind.MESSAGE:
        birth = decode_birth(record.payload, topic.name)
        if isinstance(birth, Birth):
            births[topic.name] = birth
    yield from ((name, payload) for name, payload in _packets(record, topic) if name in births)


def _packets(record: Record, topic: Topic) -> Iterator[tuple[str, bytes]]:
    if topic.leaf == "data":
        yield topic.name, b"" if record.kind == RecordKind.OVERSIZE else record.payload
    elif topic.leaf == "bundle" and record.kind == RecordKind.MESSAGE:
        payloads = decode_bundle(record.payload, topic.name)
        for payload in [] if isinstance(payloads, BadPacket) else payloads:
            name = device_of(payload)
            if isinstance(name, str):
                yield name, payload
