"""The fold of one partition: each record of the journal, in order, becomes items for the shards and rows of its own."""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar
from zlib import crc32

import msgspec

from dataflows.device import DeviceLog
from dataflows.events import WARD, Answer, Bad, PatientInfo, Row
from dataflows.items import WARD_KEY, Acknowledged, Bind, Item, Reported, Tick, Unbind
from ingest.bundle import decode_bundle, device_of
from ingest.codec import decode_packet
from ingest.command import Acknowledge, Command
from ingest.documents import decode_birth, decode_command, decode_status
from ingest.journal import Record, RecordKind
from ingest.notices import Blind, LinkNotice, Oversize, Report
from ingest.packet import BadPacket
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.refusal import DECODE_ERRORS, refused
from ingest.registry import Change, Registry
from ingest.topics import Topic, parse_topic

TELL_EVERY = 8  # ticks: how often what changed of devices and ledgers is told

NOWHERE = "-"  # site of what names none

N = TypeVar("N")


class Folded(NamedTuple):
    """An item for a shard, or a row for the store."""

    shard: int | None  # None: a row
    content: Item | Row


class FoldImage(msgspec.Struct, frozen=True, array_like=True):
    """A fold as it goes into a snapshot."""

    registry: bytes
    devices: dict[str, DeviceLog]
    asleep_ns: int
    link_down_ns: int
    blind_down_ns: int
    ticks: int


_image = msgspec.msgpack.Decoder(FoldImage)


class Fold:
    """Registry, sequences, clocks and ledgers of one partition."""

    VERSION = 2  # of the snapshot

    def __init__(self, n_shards: int) -> None:
        self._n_shards = n_shards
        self._registry = Registry()
        self._devices: dict[str, DeviceLog] = {}  # by site/device
        self._asleep_ns = 0  # all the time during which ingest was down or cut off from the broker
        self._link_down_ns = 0  # since when the broker is out of reach; 0: it is not
        self._blind_down_ns = 0  # how much of the time since then ingest itself was down
        self._ticks = 0
        self._renew = False  # shards may have lost their devices: tell them again
        self._out: list[Folded] = []

    def feed(self, records: Iterable[Record]) -> list[Folded]:
        """Take records in the order of the journal."""
        for record in records:
            if self._renew:
                self._bind_all(record)
            self._record(record)
        out, self._out = self._out, []
        return out

    def image(self) -> bytes:
        """Copy everything for a snapshot."""
        return msgspec.msgpack.encode(
            FoldImage(
                registry=self._registry.encode(),
                devices=self._devices,
                asleep_ns=self._asleep_ns,
                link_down_ns=self._link_down_ns,
                blind_down_ns=self._blind_down_ns,
                ticks=self._ticks,
            )
        )

    def restore(self, image: bytes) -> None:
        """Take up a snapshot."""
        kept = _image.decode(image)
        self._registry = Registry.decode(kept.registry)
        self._devices = kept.devices
        self._asleep_ns, self._ticks = kept.asleep_ns, kept.ticks
        self._link_down_ns, self._blind_down_ns = kept.link_down_ns, kept.blind_down_ns
        self._renew = True

    def _record(self, record: Record) -> None:
        match record.kind:
            case RecordKind.MESSAGE | RecordKind.COMMAND:
                self._message(record)
            case RecordKind.TICK:
                self._tick(record)
            case RecordKind.LINK:
                self._link(record)
            case RecordKind.REPORT:
                if said := self._notice(record, Report):
                    self._to(WARD_KEY, Reported(said.reporter, said.ok, said.detail, record.arrival_ns))
            case RecordKind.OVERSIZE:
                if notice := self._notice(record, Oversize):
                    detail = f"{notice.size} bytes came, {MAX_PAYLOAD_BYTES} are the most: publish shorter packets"
                    self._unreadable(record, BadPacket("too-large", f"{detail} more often"))

    def _notice(self, record: Record, kind: type[N]) -> N | None:
        """Decode what ingest or its door wrote; anybody may put a letter into the door."""
        try:
            return msgspec.json.decode(record.payload, type=kind)
        except DECODE_ERRORS as error:
            self._refuse(record, NOWHERE, refused(record.payload, error, "undecodable", f"a {kind.__name__} in JSON"))
            return None

    # Messages

    def _message(self, record: Record) -> None:
        topic = parse_topic(record.topic)
        if isinstance(topic, BadPacket):
            self._refuse(record, NOWHERE, topic)
            return
        match topic.leaf:
            case "data":
                self._packet(record, topic.site, topic.name, record.payload, 0)
            case "bundle":
                self._bundle(record, topic)
            case "birth":
                self._birth(record, topic)
            case "status":
                self._status(record, topic)
            case "command":
                self._command(record, topic)
            case "truth":
                pass  # ingest does not subscribe to it; a flow that read it would deceive itself

    def _packet(self, record: Record, site: str, name: str, payload: bytes, item: int) -> None:
        birth = self._registry.birth_of(site, name)
        packet = decode_packet(payload, name, birth)
        key = f"{site}/{name}"
        if birth is None:  # not a device yet: nothing to keep a ledger of
            if isinstance(packet, BadPacket):
                self._refuse(record, site, packet, item)
            return
        log = self._devices.setdefault(key, DeviceLog())
        ledger = log.turn_hour(site, name, record.arrival_ns)
        if ledger is not None:
            self._row(ledger)
        if isinstance(packet, BadPacket):
            log.refused(packet)
            self._refuse(record, site, packet, item)
            return
        data = log.accepted(key, packet, birth, record.arrival_ns, self._awake_ns(record.arrival_ns))
        if isinstance(data, BadPacket):
            self._refuse(record, site, data, item)
        elif data is not None and (patient := self._registry.patient_of(site, name)) is not None:
            self._to(f"{site}/{patient}", data)

    def _bundle(self, record: Record, topic: Topic) -> None:
        payloads = decode_bundle(record.payload, topic.name)
        if isinstance(payloads, BadPacket):
            self._refuse(record, topic.site, payloads)
            return
        for item, payload in enumerate(payloads):
            name = device_of(payload)
            if isinstance(name, BadPacket):
                self._refuse(record, topic.site, name, item)
            else:
                self._packet(record, topic.site, name, payload, item)

    def _birth(self, record: Record, topic: Topic) -> None:
        birth = decode_birth(record.payload, topic.name)
        change = birth if isinstance(birth, BadPacket) else self._registry.apply_birth(topic.site, birth)
        if isinstance(change, BadPacket):
            self._refuse(record, topic.site, change)
            return
        if change.birth:
            self._devices.setdefault(f"{topic.site}/{topic.name}", DeviceLog()).reborn()
            self._tell_device(topic.site, topic.name)
        bound = {binding.device for binding in change.bindings}
        self._bindings(record, topic.site, change)
        patient = self._registry.patient_of(topic.site, topic.name)
        if change.birth and patient is not None and topic.name not in bound:
            self._bind(record, topic.site, topic.name, patient)  # the same patient, another profile

    def _status(self, record: Record, topic: Topic) -> None:
        status = decode_status(record.payload)
        if isinstance(status, BadPacket):
            self._refuse(record, topic.site, status)
        elif self._registry.apply_status(topic.site, topic.name, status):
            self._tell_device(topic.site, topic.name)

    def _command(self, record: Record, topic: Topic) -> None:
        command = decode_command(record.payload)
        if isinstance(command, BadPacket):
            self._refuse(record, topic.site, command)
            return
        outcome = self._registry.apply_command(topic.site, topic.name, command)
        if outcome.repeated:
            return
        if outcome.mine:
            self._bindings(record, topic.site, outcome.change)
            self._answer(record, topic, command, done=outcome.done, detail=outcome.detail)
        elif isinstance(command, Acknowledge):
            patient = WARD_KEY if command.patient == WARD else f"{topic.site}/{command.patient}"
            self._to(
                patient,
                Acknowledged(patient, command.alarm, topic.name, command.note, command.id, record.arrival_ns),
            )
        else:
            what = command.__struct_config__.tag
            self._answer(record, topic, command, done=False, detail=f"{what} is not available in this version")

    def _answer(self, record: Record, topic: Topic, command: Command, *, done: bool, detail: str) -> None:
        self._row(Answer(topic.site, command.id, topic.name, done, detail, record.arrival_ns))

    def _bindings(self, record: Record, site: str, change: Change) -> None:
        for binding in change.bindings:
            device, before, after = binding.device, binding.before, binding.after
            if before is not None:
                patient = f"{site}/{before}"
                reason = f"{device} was taken off {before}" if after is None else f"{device} went to {after}"
                self._to(patient, Unbind(f"{site}/{device}", patient, record.arrival_ns, reason))
            if after is not None:
                self._bind(record, site, device, after)
            self._tell_device(site, device)
        for wearer in change.patients:
            self._row(PatientInfo(site, wearer.patient, wearer.bed, wearer.devices, wearer.admitted, wearer.revision))

    def _bind(self, record: Record, site: str, device: str, patient: str) -> None:
        birth = self._registry.birth_of(site, device)
        if birth is not None:  # else its birth will bind it
            key = f"{site}/{patient}"
            now = (record.arrival_ns, self._awake_ns(record.arrival_ns))
            self._to(key, Bind(f"{site}/{device}", key, birth, *now))

    def _bind_all(self, record: Record) -> None:
        """Tell every shard its devices again, after a restart; those that know them change nothing."""
        self._renew = False
        for site in self._registry.sites():
            for device in self._registry.devices(site):
                if (patient := self._registry.patient_of(site, device)) is not None:
                    self._bind(record, site, device, patient)

    # The clock

    def _awake_ns(self, arrival_ns: int) -> int:
        return (self._link_down_ns or arrival_ns) - self._asleep_ns

    def _tick(self, record: Record) -> None:
        if record.payload and (blind := self._notice(record, Blind)):
            # Time asleep counts once, though ingest was both down and cut off.
            cut_off_ns = record.arrival_ns - self._link_down_ns if self._link_down_ns else 0
            both_ns = min(blind.blind_ns, cut_off_ns)
            self._asleep_ns += blind.blind_ns - both_ns
            self._blind_down_ns += both_ns
        self._ticks += 1
        awake_ns = self._awake_ns(record.arrival_ns)
        ward = crc32(WARD_KEY.encode()) % self._n_shards
        # The broker is not known to be out of reach while nobody looked.
        down_ns = self._link_down_ns + self._blind_down_ns if self._link_down_ns else 0
        for shard in range(self._n_shards):
            tick = Tick(record.arrival_ns, awake_ns, down_ns, shard == ward)
            self._out.append(Folded(shard, tick))
        if self._ticks % TELL_EVERY == 0:
            self._tell_changed()

    def _link(self, record: Record) -> None:
        link = self._notice(record, LinkNotice)
        if link is None:
            return
        if link.up and self._link_down_ns:
            self._asleep_ns += record.arrival_ns - self._link_down_ns
            self._link_down_ns = self._blind_down_ns = 0
        elif not link.up:
            self._link_down_ns = self._link_down_ns or record.arrival_ns
            self._tell_changed()

    # What is told

    def _tell_changed(self) -> None:
        for key, log in self._devices.items():
            if log.untold:
                site, _, name = key.partition("/")
                self._row(log.ledger(site, name))
                self._tell_device(site, name)

    def _tell_device(self, site: str, name: str) -> None:
        log = self._devices.setdefault(f"{site}/{name}", DeviceLog())
        birth = self._registry.birth_of(site, name)
        status = self._registry.status_of(site, name)
        self._row(log.status(site, name, birth, status, self._registry.patient_of(site, name) or ""))

    def _unreadable(self, record: Record, bad: BadPacket) -> None:
        topic = parse_topic(record.topic)
        if isinstance(topic, BadPacket):
            self._refuse(record, NOWHERE, bad)
            return
        if topic.leaf == "data" and (log := self._devices.get(f"{topic.site}/{topic.name}")):
            log.refused(bad)
        self._refuse(record, topic.site, bad)

    def _refuse(self, record: Record, site: str, bad: BadPacket, item: int = 0) -> None:
        size = len(record.payload)
        self._row(Bad(site, record.offset, item, record.arrival_ns, record.topic[:256], bad.reason, bad.detail, size))

    def _row(self, row: Row) -> None:
        self._out.append(Folded(None, row))

    def _to(self, patient: str, item: Item) -> None:
        self._out.append(Folded(crc32(patient.encode()) % self._n_shards, item))
