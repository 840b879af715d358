"""A shard: the devices and patients of one Bytewax key, stepped as banks; the same items give the same rows."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from dataflows import fusion
from dataflows.alarms import COLUMN, STALE_NS, nothing_known
from dataflows.bank import BankImage
from dataflows.beds import Beds
from dataflows.events import SECOND_NS, AlarmEvent, Answer, BedState, Condition, Vitals, Wave
from dataflows.items import (
    WARD_KEY,
    Acknowledged,
    Bind,
    Data,
    Flooded,
    Item,
    Park,
    Placed,
    Reported,
    Tick,
    Unbind,
    name_of,
)
from dataflows.roster import LOST_NS, Device, Patient, Roster
from dataflows.rows import Closing, as_counts, vitals_rows, wave_row
from dataflows.shelf import Shelf
from dataflows.ward import Cells, Moment, Ward
from dataflows.wearables import Wearables

Row = Vitals | Wave | AlarmEvent | BedState | Answer
Other = Bind | Unbind | Park | Placed | Flooded | Tick | Reported | Acknowledged


class ShardImage(msgspec.Struct, frozen=True, array_like=True):
    """A shard as it goes into a snapshot."""

    devices: tuple[Device, ...]
    patients: tuple[Patient, ...]
    left: dict[str, int]
    failing: dict[str, str]
    late: tuple[str, ...]
    flooding: dict[str, dict[str, int]]
    parked: bytes
    alarms: BankImage
    lanes: tuple[tuple[str, BankImage], ...]
    beds: tuple[int, bytes] | None = None


class Parked(msgspec.Struct, frozen=True, array_like=True):
    """A patient of whom every device is silent: nothing happens until one is bound again, or a command comes."""

    patient: Patient
    alarms: Cells
    late: bool


_decoder = msgspec.msgpack.Decoder(ShardImage)
_parked = msgspec.msgpack.Decoder(Parked)


class Shard:
    """Everything that is known of the patients of one key."""

    VERSION = 4  # of the snapshot
    READABLE = (3, 4)  # 3 had no beds: the fold tells them again

    def __init__(self) -> None:
        self.roster = Roster()
        self.wearables = Wearables()
        self.beds = Beds()
        self.ward = Ward(self._strip, self.beds.place)
        self._failing: dict[str, str] = {}  # courier -> what it said
        self._late: set[str] = set()  # patients whose newest second was stale when it closed
        self._flooding: dict[str, dict[str, int]] = {}  # patient -> devices that flood -> packets too many
        self._parked = Shelf()  # patients of whom nothing is heard

    def feed(self, items: Iterable[Item]) -> list[Row]:
        """Take items in the order of the journal; how they are grouped into calls changes nothing."""
        rows: list[Row] = []
        queues: dict[str, list[Data]] = {}  # by patient
        for item in items:
            if isinstance(item, Data):
                if device := self.roster.devices.get(item.device):
                    queues.setdefault(device.patient, []).append(item)
                continue
            if isinstance(item, Tick | Reported) or item.patient in queues:  # what concerns others need not wait
                rows += self._rounds(queues)
                queues = {}
            rows += self._other(item)
        return rows + self._rounds(queues)

    def _rounds(self, queues: Mapping[str, list[Data]]) -> list[Row]:
        """Step packets, at most one per patient in a round: seconds close in order, and no patient waits for others."""
        rows: list[Row] = []
        for turn in range(max(map(len, queues.values()), default=0)):
            rows += self._packets({key: queue[turn] for key, queue in queues.items() if turn < len(queue)})
        return rows

    def image(self) -> bytes:
        """Copy everything for a snapshot."""
        return msgspec.msgpack.encode(
            ShardImage(
                tuple(self.roster.devices.values()),
                tuple(self.roster.patients.values()),
                self.roster.left,
                self._failing,
                tuple(sorted(self._late)),
                self._flooding,
                self._parked.image(),
                self.ward.bank.image(),
                self.wearables.images(),
                self.beds.image(),
            )
        )

    def restore(self, version: int, image: bytes) -> list[str]:
        """Take up a snapshot; return why any part of it could not be taken up."""
        if version not in self.READABLE:  # the fold tells the devices again; their first blocks start the rows anew
            return [f"a shard of version {version} came, this is version {self.VERSION}: every row starts anew"]
        kept = _decoder.decode(image)
        self.roster.patients = {patient.key: patient for patient in kept.patients}
        self.roster.devices = {device.key: device for device in kept.devices}
        self.roster.left = dict(kept.left)
        self._failing, self._late, self._flooding = kept.failing, set(kept.late), kept.flooding
        self._parked.restore(kept.parked)
        if kept.beds is not None:
            self.beds.restore(kept.beds)
        for device in kept.devices:
            self.wearables.plug(device)
        problems = self.wearables.restore(kept.lanes)
        if mismatch := self.ward.bank.restore(kept.alarms):
            problems.append(f"alarms: {mismatch.detail}")
        for patient in self.roster.patients:
            self.ward.admit(patient)
        return problems

    def _other(self, item: Other) -> list[Row]:
        rows = [*self._happened(item)]
        rows += self.beds.after(rows, self.ward.standing)
        if isinstance(item, Tick):
            rows += self.beds.tick(item.arrival_ns)
        elif not isinstance(item, Reported):
            self._shelve(item.patient)
        return rows

    def _happened(self, item: Other) -> Sequence[Row]:
        rows: Sequence[Row] = ()
        match item:
            case Bind():
                self._wake(item.patient)
                if device := self.roster.bind(item):
                    self.wearables.plug(device)
                    self.ward.admit(item.patient)
            case Unbind():
                rows = self._unbind(item)
            case Park():
                rows = self._park(item)
            case Placed():
                rows = self._move(item)
            case Flooded():
                rows = self._flooded(item)
            case Tick():
                rows = self._tick(item)
            case Reported():
                rows = self._report(item)
            case Acknowledged():
                self._wake(item.patient)
                rows = self.ward.acknowledge(item)
        return rows

    def _move(self, item: Placed) -> list[BedState]:
        if self.beds.knows(item):
            return []
        self._wake(item.patient)
        [standing] = self.ward.standing([item.patient])
        return self.beds.move(item, standing)

    def _unbind(self, item: Unbind) -> list[Row]:
        self._wake(item.patient)
        self.wearables.unplug(item.device)
        gone = self.roster.unbind(item.device, item.patient)
        if gone is not None:
            self._late.discard(gone.key)
            self._flooding.pop(gone.key, None)
            return list(self.ward.discharge(gone.key, item.arrival_ns, item.reason))
        rows: list[Row] = []
        if item.patient in self.roster.patients and not self._lost(item.patient):
            rows += self._contact({item.patient: item.arrival_ns}, lost=False)
        return rows

    def _park(self, item: Park) -> list[Row]:
        rows: list[Row] = []
        if item.patient in self._parked:
            self._wake(item.patient)
        self.wearables.unplug(item.device)
        if self.roster.park(item):
            self.ward.admit(item.patient)
            rows += self._contact({item.patient: item.now_ns}, lost=True)
        return rows

    def _shelve(self, key: str) -> None:
        """Put a patient away if every device is parked."""
        patient = self.roster.patients.get(key)
        if patient is not None and not patient.devices:
            record = Parked(self.roster.patients.pop(key), self.ward.park(key), key in self._late)
            self._late.discard(key)
            self._parked.put(key, msgspec.msgpack.encode(record))

    def _wake(self, key: str) -> None:
        """Take a patient up again who was put away."""
        if key in self._parked:
            record = _parked.decode(self._parked.take(key))
            self.roster.patients[key] = record.patient
            self.ward.wake(key, record.alarms)
            if record.late:
                self._late.add(key)

    def _packets(self, round_: Mapping[str, Data]) -> list[Row]:
        spoke = [(self.roster.devices[data.device], data) for data in round_.values()]
        self.wearables.step(spoke)
        back: dict[str, int] = {}
        for device, data in spoke:
            streams = device.birth.streams
            end_ns = data.t0_ns + min(streams[block.stream].block_ns for block in data.blocks)
            device.spoke(data, end_ns)
            if device.lost:
                device.lost = False
                back[device.patient] = data.arrival_ns
        rows: list[Row] = list(self._contact({key: ns for key, ns in back.items() if not self._lost(key)}, lost=False))
        patients = [self.roster.patients[key] for key in round_]
        rows += self._close(patients, {key: (data.arrival_ns, data.awake_ns) for key, data in round_.items()})
        return rows + self.beds.after(rows, self.ward.standing)

    def _close(self, patients: list[Patient], now: Mapping[str, tuple[int, int]], *, tick: bool = False) -> list[Row]:
        rows: list[Row] = []
        while patients:
            closings = [
                Closing(patient, second, now[patient.key][0])
                for patient in patients
                if (second := self.roster.complete(patient, now[patient.key][1], tick=tick)) is not None
            ]
            rows += self._seconds(closings) if closings else []
            patients = [closing.patient for closing in closings]
        return rows

    def _seconds(self, closings: list[Closing]) -> list[Row]:
        end_ns = np.array([(closing.second + 1) * SECOND_NS for closing in closings], np.int64)
        worn = [self.roster.speaking(closing.patient, closing.second) for closing in closings]
        known = self.wearables.estimates(worn, end_ns)
        # A device that runs ahead of time tells nothing, and that must not pass for one that is not worn.
        known.worn[:] = [self.wearables.measures(self.roster.worn(closing.patient)) for closing in closings]
        vitals = fusion.fused(known)
        coverage = [
            max(device.covered_ns(closing.second) for device in devices) / SECOND_NS
            for closing, devices in zip(closings, worn, strict=True)
        ]
        offset_ms = [
            next((d.offset_ns / 1e6 for d in devices if d.covered_ns(closing.second)), float("nan"))
            for closing, devices in zip(closings, worn, strict=True)
        ]
        wards = [self.beds.place(closing.patient.key)[0] for closing in closings]
        rows: list[Row] = list(vitals_rows(closings, known, vitals, coverage, offset_ms, wards))
        for closing, strip in zip(closings, self.wearables.strips(worn, end_ns, 1.0), strict=True):
            if strip is not None:
                rows.append(wave_row(closing, *strip))
        moment = Moment(
            [closing.patient.key for closing in closings],
            end_ns.tolist(),
            [closing.arrival_ns for closing in closings],
            known.cardiac.quality.tolist(),
        )
        rows += self.ward.observe(moment, fusion.evidence(known, vitals, end_ns))
        return rows + self._lateness(moment)

    def _lateness(self, moment: Moment) -> list[Row]:
        """Tell of data that steadily come too late to page, by the journal's clock: staleness must not mute it."""
        age_ns = {p: at - end for p, end, at in zip(*moment[:3], strict=True)}
        late = [patient for patient, ns in age_ns.items() if ns > STALE_NS]
        over = [patient for patient in age_ns if patient in self._late and age_ns[patient] <= STALE_NS]
        self._late = (self._late | set(late)) - set(over)
        arrivals = dict(zip(moment.patients, moment.arrival_ns, strict=True))
        rows: list[Row] = []
        for patients, truth in ((late, True), (over, False)):
            if patients:
                at_ns = [arrivals[patient] for patient in patients]
                age_s = [age_ns[patient] / SECOND_NS for patient in patients]
                rows += self._told("late-data", patients, at_ns, at_ns, age_s, truth=truth)
        return rows

    def _tick(self, tick: Tick) -> list[Row]:
        rows: list[Row] = list(self._link(tick)) if tick.ward else []
        newly: dict[str, int] = {}
        fresh: set[str] = set()
        for device in self.roster.devices.values():
            device.awake_ns = min(device.awake_ns, tick.awake_ns)  # a stall is found out only by the tick after it
            if not device.lost and tick.awake_ns - device.awake_ns >= LOST_NS:
                device.lost = True
                newly[device.patient] = tick.arrival_ns
                fresh.add(device.key)
        # That nobody is left to hear of is news, though an alarm for another device stands and may be acknowledged:
        # that one ends, an instant before the next of its kind begins.
        deserted = {key: at_ns - 1 for key, at_ns in newly.items() if self._deserted(key, fresh)}
        rows += self._contact(deserted, lost=False)
        rows += self._contact(newly, lost=True)
        ripe = [patient for patient in self.roster.patients.values() if patient.ripe_ns]
        return rows + self._close(ripe, {p.key: (tick.arrival_ns, tick.awake_ns) for p in ripe}, tick=True)

    def _contact(self, patients: Mapping[str, int], *, lost: bool) -> list[AlarmEvent]:
        """Raise or end lost contact of patients, by the arrival time of what told."""
        if not patients:
            return []
        since = [self._silent_since(key) if lost else at_ns for key, at_ns in patients.items()]
        silent_s = [(at_ns - ns) / SECOND_NS for at_ns, ns in zip(patients.values(), since, strict=True)]
        onset_ns = [ns + LOST_NS for ns in since]
        return self._told("lost-contact", list(patients), list(patients.values()), onset_ns, silent_s, truth=lost)

    def _lost(self, key: str) -> bool:
        return self.roster.lost(self.roster.patients[key])

    def _deserted(self, key: str, fresh: set[str]) -> bool:
        """Whether all devices of a patient are lost, and some were before those that are so now."""
        patient = self.roster.patients[key]
        worn = self.roster.worn(patient)
        return all(device.lost for device in worn) and (
            bool(patient.parked) or any(device.key not in fresh for device in worn)
        )

    def _silent_since(self, key: str) -> int:
        patient = self.roster.patients[key]
        lost = [device.arrival_ns for device in self.roster.worn(patient) if device.lost]
        return max([*lost, *patient.parked.values()])

    def _flooded(self, item: Flooded) -> list[AlarmEvent]:
        devices = self._flooding.setdefault(item.patient, {})
        devices[item.device] = item.packets
        if not item.packets:
            del devices[item.device]
        if not devices:
            del self._flooding[item.patient]
        if item.patient == WARD_KEY:
            self.ward.admit(WARD_KEY)
        elif item.patient not in self.roster.patients:  # gone, while the flood was waiting to be told
            self._flooding.pop(item.patient, None)
            return []
        at = item.arrival_ns
        value = [float(sum(devices.values()))]
        rows = self._told("flooding", [item.patient], [at], [at], value, truth=bool(devices))
        who = ", ".join(sorted(map(name_of, devices)))
        return [msgspec.structs.replace(row, reason=f"{who} {row.reason}" if who else row.reason) for row in rows]

    def _link(self, tick: Tick) -> list[AlarmEvent]:
        self.ward.admit(WARD_KEY)
        at, down = tick.arrival_ns, tick.link_down_ns
        return self._told("broker-lost", [WARD_KEY], [at], [down], [(at - down) / SECOND_NS], truth=down > 0)

    def _report(self, report: Reported) -> list[AlarmEvent]:
        if report.ok:
            self._failing.pop(report.reporter, None)
        else:
            self._failing[report.reporter] = report.detail
        self.ward.admit(WARD_KEY)
        at = report.arrival_ns
        rows = self._told(
            "system-fault", [WARD_KEY], [at], [at], [float(len(self._failing))], truth=bool(self._failing)
        )
        said = "; ".join(f"{reporter}: {detail}" for reporter, detail in sorted(self._failing.items()))
        return [msgspec.structs.replace(row, reason=said or row.reason) for row in rows]

    def _told(
        self,
        condition: Condition,
        patients: list[str],
        at_ns: list[int],
        onset_ns: list[int],
        value: list[float],
        *,
        truth: bool,
    ) -> list[AlarmEvent]:
        """Observe one condition of which the journal's clock, not a sensor, tells."""
        known, column = nothing_known(len(patients)), COLUMN[condition]
        known.truth[:, column] = truth
        known.onset_ns[:, column] = onset_ns
        known.value[:, column] = value
        moment = Moment(patients, at_ns, at_ns, [float("nan")] * len(patients))
        return self.ward.observe(moment, known)

    def _strip(self, key: str, event_ns: int) -> tuple[bytes, float]:
        patient = self.roster.patients.get(key)  # the ward itself is none
        worn = [self.roster.worn(patient)] if patient else []
        strips = self.wearables.strips(worn, np.array([event_ns], np.int64), 10.0)
        return as_counts(strips[0].samples) if strips and strips[0] else (b"", float("nan"))
