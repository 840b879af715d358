"""The fold of one partition: each record of the journal, in order, becomes items for the shards and rows of its own."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from dataflows.census import CensusImage
from dataflows.device import Hour
from dataflows.events import WARD, Answer, Removal
from dataflows.hush import Burst
from dataflows.items import WARD_KEY, Commanded, Reported, Where
from dataflows.outbox import Folded
from dataflows.pacing import PacingImage
from dataflows.presence import Presence
from dataflows.refusals import NOWHERE, RefusalsImage
from dataflows.waking import Waking
from ingest.bundle import decode_bundle, device_of
from ingest.codec import decode_packet
from ingest.command import Admit, AlarmCommand, Command
from ingest.documents import decode_birth, decode_command, decode_status
from ingest.journal import Record, RecordKind
from ingest.notices import Blind, LinkNotice, Oversize, Report
from ingest.packet import BadPacket
from ingest.profile import MAX_PAYLOAD_BYTES
from ingest.refusal import DECODE_ERRORS, refused
from ingest.registry import Registry
from ingest.topics import Topic, parse_topic

__all__ = ["Fold", "Folded"]

TELL_EVERY = 8  # ticks: how often what changed of devices and ledgers is told
REMOVALS_KEPT = 256  # ids of removals that were told, should one be told again: that is a matter of seconds

N = TypeVar("N")


class Oldest(msgspec.Struct, frozen=True, array_like=True):
    """What images up to version 3 begin with, too."""

    registry: bytes  # of a version of its own
    waking: Waking


class Lasting(Oldest, frozen=True, array_like=True):
    """What every version of the image begins with, so that it can be read whatever follows."""

    ledgers: dict[str, list[Hour]]  # by ``site/device``: what was published in this hour stays so
    removals: tuple[str, ...]


class FoldImage(Lasting, frozen=True, array_like=True):
    """A fold as it goes into a snapshot."""

    ticks: int
    census: CensusImage
    pacing: PacingImage
    refusals: RefusalsImage
    flooding: dict[str, str]
    hush: tuple[tuple[Where, Burst], ...] = ()  # images of before have none


_oldest = msgspec.msgpack.Decoder(Oldest)
_lasting = msgspec.msgpack.Decoder(Lasting)
_image = msgspec.msgpack.Decoder(FoldImage)


class Fold:
    """Registry, sequences, clocks and ledgers of one partition."""

    VERSION = 4  # of the snapshot

    def __init__(self, n_shards: int) -> None:
        self._here = Presence(n_shards)
        self._outbox = self._here.outbox
        self._waking = Waking()
        self._ticks = 0
        self._removals: tuple[str, ...] = ()
        self._renew = False  # shards may have lost their devices: tell them again
        self._anew = False  # and nothing but who is who is known

    def feed(self, records: Iterable[Record]) -> list[Folded]:
        """Take records in the order of the journal."""
        for record in records:
            self._here.begin(self._waking.now(record.arrival_ns), record.offset)
            if self._renew:
                self._here.tell_shards(anew=self._anew)
                self._renew = self._anew = False
            self._record(record)
            self._here.finish()
        return self._outbox.collect()

    def image(self) -> bytes:
        """Copy everything for a snapshot."""
        return msgspec.msgpack.encode(
            FoldImage(
                registry=self._here.registry.encode(),
                waking=self._waking,
                ledgers=self._here.census.ledgers(),
                removals=self._removals,
                ticks=self._ticks,
                census=self._here.census.image(),
                pacing=self._outbox.pacing.image(),
                refusals=self._outbox.refusals.image(),
                flooding=self._here.flooding,
                hush=tuple(self._here.hush.bursts.items()),
            )
        )

    def restore(self, version: int, image: bytes) -> list[str]:
        """Take up a snapshot; return why any part of it could not be taken up.

        Raises
        ------
        ValueError
            If even who is who cannot be read: only another version of this program, or the journal, knows it.
        """
        try:
            kept = _kept(image)
            self._here.registry = Registry.decode(kept.registry)
        except (ValueError, msgspec.DecodeError) as error:
            raise ValueError(
                f"the snapshot of the registry, version {version}, cannot be read ({error}): start with the version "
                "that wrote it, or remove the partition's recovery folder, and it is built anew from the journal"
            ) from error
        self._waking, self._removals, self._renew = kept.waking, kept.removals, True
        if version != self.VERSION:
            self._anew = True
            self._here.census.remember(kept.ledgers)
            anew, on = ("sequences", "and the hour's ledgers are") if kept.ledgers else ("ledgers, sequences", "is")
            what = f"{anew} and clocks of devices start anew; who wears what {on} kept"
            return [f"a fold of version {version} came, this is version {self.VERSION}: {what}"]
        whole = _image.decode(image)
        self._ticks, self._here.flooding = whole.ticks, whole.flooding
        self._here.hush.bursts = dict(whole.hush)
        self._here.census.restore(whole.census)
        self._outbox.pacing.restore(whole.pacing)
        self._outbox.refusals.restore(whole.refusals)
        return []

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
                    self._report(record, said)
            case RecordKind.OVERSIZE:
                if notice := self._notice(record, Oversize):
                    detail = f"{notice.size} bytes came, {MAX_PAYLOAD_BYTES} are the most: publish shorter packets"
                    self._unreadable(record, BadPacket("too-large", f"{detail} more often"))

    def _notice(self, record: Record, kind: type[N]) -> N | None:
        """Decode what ingest or its door wrote; anybody may put a letter into the door."""
        try:
            return msgspec.json.decode(record.payload, type=kind)
        except DECODE_ERRORS as error:
            bad = refused(record.payload, error, "undecodable", f"a {kind.__name__} in JSON")
            self._outbox.refuse(record, NOWHERE, bad)
            return None

    def _report(self, record: Record, said: Report) -> None:
        gone = said.removed
        if gone is not None and gone.id:
            if gone.id in self._removals:  # whoever told it was killed before he could take note of that
                return
            self._removals = (*self._removals[1 - REMOVALS_KEPT :], gone.id)
        self._outbox.to(WARD_KEY, Reported(said.reporter, said.ok, said.detail, record.arrival_ns, said.level))
        if gone is not None:
            place = (NOWHERE, record.offset, record.arrival_ns)
            self._outbox.row(Removal(*place, gone.what, gone.first, gone.end, gone.size, gone.why))

    def _tick(self, record: Record) -> None:
        if record.payload and (blind := self._notice(record, Blind)):
            self._waking.blind(record.arrival_ns, blind.blind_ns, blind.set_ns)
            self._here.begin(self._waking.now(record.arrival_ns), record.offset)
        self._ticks += 1
        self._here.tick()
        self._outbox.tick(self._here.now, self._waking.down_ns)
        if self._ticks % TELL_EVERY == 0:
            self._here.tell_changed()
            self._here.forget_overdue()

    def _link(self, record: Record) -> None:
        if link := self._notice(record, LinkNotice):
            self._waking.link(record.arrival_ns, up=link.up)
            if not link.up:
                self._here.tell_changed()

    def _message(self, record: Record) -> None:
        topic = parse_topic(record.topic)
        if isinstance(topic, BadPacket):
            self._outbox.refuse(record, NOWHERE, topic)
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
        registry = self._here.registry
        birth = registry.birth_of(site, name)
        packet = decode_packet(payload, name, birth)
        key = f"{site}/{name}"
        if birth is None:  # not a device yet: nothing to keep a ledger of
            if isinstance(packet, BadPacket):
                self._outbox.refuse(record, site, packet, item)
            return
        log = self._here.heard(key)
        if isinstance(packet, BadPacket):
            log.refused(packet, self._here.now)
            self._outbox.refuse(record, site, packet, item)
        else:
            data = log.accepted(key, packet, birth, self._here.now)
            if isinstance(data, BadPacket):
                self._outbox.refuse(record, site, data, item)
            elif data is not None and (patient := registry.patient_of(site, name)) is not None:
                self._outbox.of_device(f"{site}/{patient}", data)
        self._here.told_at_once(key, log)
        self._here.flood(key, log)

    def _bundle(self, record: Record, topic: Topic) -> None:
        payloads = decode_bundle(record.payload, topic.name)
        if isinstance(payloads, BadPacket):
            self._outbox.refuse(record, topic.site, payloads)
            return
        for item, payload in enumerate(payloads):
            name = device_of(payload)
            if isinstance(name, BadPacket):
                self._outbox.refuse(record, topic.site, name, item)
            else:
                self._packet(record, topic.site, name, payload, item)

    def _birth(self, record: Record, topic: Topic) -> None:
        key = f"{topic.site}/{topic.name}"
        if not record.payload:  # how MQTT clears a retained message
            if key in self._here.census:
                self._here.forget(key, "its birth was cleared")
            return
        birth = decode_birth(record.payload, topic.name)
        bad = birth if isinstance(birth, BadPacket) else self._here.born(topic.site, birth)
        if bad is not None:
            self._outbox.refuse(record, topic.site, bad)

    def _status(self, record: Record, topic: Topic) -> None:
        if not record.payload:
            return  # cleared, as its birth is or will be
        status = decode_status(record.payload)
        bad = status if isinstance(status, BadPacket) else self._here.said(topic.site, topic.name, status)
        if bad is not None:
            self._outbox.refuse(record, topic.site, bad)

    def _command(self, record: Record, topic: Topic) -> None:
        command = decode_command(record.payload)
        if isinstance(command, BadPacket):
            self._outbox.refuse(record, topic.site, command)
            return
        if isinstance(command, Admit) and (full := self._here.room_for(f"{topic.site}/{command.device}")):
            self._answer(record, topic, command, done=False, detail=full.detail)
            return
        outcome = self._here.registry.apply_command(topic.site, topic.name, command)
        if outcome.repeated:
            return
        if outcome.mine:
            if isinstance(command, Admit) and outcome.done:
                self._here.admitted(topic.site, command.device, outcome.change)
            self._here.bindings(topic.site, outcome.change)
            self._answer(record, topic, command, done=outcome.done, detail=outcome.detail)
        elif isinstance(command, AlarmCommand):
            patient = WARD_KEY if command.patient == WARD else f"{topic.site}/{command.patient}"
            self._outbox.to(patient, Commanded(patient, topic.name, command, record.arrival_ns))
        else:
            what = command.__struct_config__.tag
            self._answer(record, topic, command, done=False, detail=f"{what} is not available in this version")

    def _answer(self, record: Record, topic: Topic, command: Command, *, done: bool, detail: str) -> None:
        self._outbox.row(Answer(topic.site, command.id, topic.name, done, detail, record.arrival_ns))

    def _unreadable(self, record: Record, bad: BadPacket) -> None:
        topic = parse_topic(record.topic)
        if isinstance(topic, BadPacket):
            self._outbox.refuse(record, NOWHERE, bad)
            return
        if topic.leaf == "data" and self._here.registry.birth_of(topic.site, topic.name) is not None:
            key = f"{topic.site}/{topic.name}"
            log = self._here.heard(key)
            log.refused(bad, self._here.now)
            self._here.flood(key, log)
        self._outbox.refuse(record, topic.site, bad)


def _kept(image: bytes) -> Lasting:
    """Read what lasts of an image of any version."""
    try:
        return _lasting.decode(image)
    except msgspec.ValidationError:
        oldest = _oldest.decode(image)
        return Lasting(oldest.registry, oldest.waking, {}, ())
