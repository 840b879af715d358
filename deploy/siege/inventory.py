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
from ingest.notices import LinkNotice
from ingest.packet import BadPacket
from ingest.profile import Birth
from ingest.topics import Topic, parse_topic

AT_ONCE: Final = 2000
NO_ROOM: Final = "no room on the disk"
Name = tuple[str, int]  # boot, seq


class Inventory(NamedTuple):
    """Packets of some devices, each counted once, and how often it came."""

    packets: dict[str, Counter[Name]]  # by device
    unreadable: Counter[str]  # messages without a number that can be read, by device
    full: int = 0  # times that ingest took nothing in, because the disk was full

    @property
    def distinct(self) -> int:
        """Different packets."""
        return sum(map(len, self.packets.values()))

    def holes(self, device: str) -> int:
        """Numbers missing before the newest of each boot; the first boot counts from the number that came first."""
        boots: dict[str, list[int]] = {}
        for boot, seq in self.packets[device]:  # in the order of their coming
            boots.setdefault(boot, []).append(seq)
        missing = 0
        for index, came in enumerate(boots.values()):
            first = 0 if index else came[0]
            missing += max(came) + 1 - first - sum(seq >= first for seq in came)
        return missing

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
    full = 0
    with JournalReader(journal) as reader:
        offset = reader.first_offset
        while records := reader.read(offset, AT_ONCE):
            offset = records[-1].offset + 1
            for record in records:
                full += record.kind == RecordKind.LINK and _is_full(record.payload)
                for device, payload in _of_devices(record, site, devices, births):
                    packet = decode_packet(payload, device, births[device])
                    if packet.boot:
                        packets[device][packet.boot, packet.seq] += 1
                    else:
                        unreadable[device] += 1
    return Inventory(packets, unreadable, full)


def lost_of(acked: Path, inventory: Inventory) -> tuple[int, list[str]]:
    """Packets that the broker acknowledged: how many there are, and those that the journal does not have."""
    with acked.open("rb") as lines:
        said = dict.fromkeys(msgspec.json.decode(line, type=tuple[str, str, int]) for line in lines)
    lost = [
        f"{device} boot {boot} packet {seq}"
        for device, boot, seq in said
        if (boot, seq) not in inventory.packets[device]
    ]
    return len(said), lost


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
        said, holes = sum(row.lost for row in rows), inventory.holes(device)
        lost += said
        # Numbers missed next to messages that cannot be read are taken to be those, and counted as quarantined.
        if not max(holes - inventory.unreadable[device], 0) <= said <= holes:
            wrong.append(
                f"ledger of {device}: {said} packets lost, the journal lacks {holes} between its first and its newest"
            )
        if told != there:
            wrong.append(
                f"ledger of {device}: {told} packets stored or quarantined, the journal holds {len(packets)} different "
                f"ones and {inventory.unreadable[device]} that cannot be read"
            )
    return LedgerCheck(lost, wrong)


def _is_full(payload: bytes) -> bool:
    notice = msgspec.json.decode(payload, type=LinkNotice)
    return not notice.up and notice.reason.startswith(NO_ROOM)


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
