"""A shard: the devices and patients of one Bytewax key, stepped as banks; the same items give the same rows."""

import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataflows import findings, fusion
from dataflows.away import Away
from dataflows.beds import Beds
from dataflows.breathing import Breathing
from dataflows.contact import Contact
from dataflows.courses import Courses
from dataflows.early import Early
from dataflows.events import SECOND_NS, AlarmEvent, Answer, BedState, Vitals, Wave
from dataflows.hearsay import Hearsay
from dataflows.items import (
    Ailing,
    Bind,
    Commanded,
    Data,
    Flooded,
    Hushed,
    Item,
    Limited,
    Park,
    Placed,
    Reported,
    Tick,
    Unbind,
)
from dataflows.limits import HR, InForce
from dataflows.roll_call import ROLL_CALL_NS, RollCall
from dataflows.roster import Patient, Roster
from dataflows.rows import Closing, Made, as_counts, received, vitals_rows, wave_row
from dataflows.shard_image import FORMAT, Lasting, Parked, ShardImage, decode_image, decode_lasting
from dataflows.silence import Silence, is_of_a_ward
from dataflows.slow_vitals import SlowVitals
from dataflows.ward import Moment, Ward
from dataflows.wearables import Wearables

Row = Vitals | Wave | AlarmEvent | BedState | Answer | RollCall
OfAll = Tick | Reported | Hushed
Other = Bind | Unbind | Park | Placed | Limited | Flooded | Ailing | OfAll | Commanded

_AT_FIRST = -1  # `Shard._anew_ns`: at the first item


class Shard:
    """Everything that is known of the patients of one key.

    Parameters
    ----------
    wearables
        Somebody's who listens to what they measure; None: its own.
    limits, delay_ns
        Other than those of the rules, to try out what they would do.
    """

    VERSION = 10  # of the snapshot
    READS = (8, 9, 10)  # those that can be taken up whole

    def __init__(
        self,
        *,
        wearables: Wearables | None = None,
        limits: InForce | None = None,
        delay_ns: NDArray[np.int64] | None = None,
    ) -> None:
        self.roster = Roster()
        self.wearables = wearables or Wearables()
        self.breathing = Breathing()
        self.beds = Beds()
        self.ward = Ward(self._strip, self.beds.place, delay_ns)
        self.courses = Courses()
        self.limits = limits or InForce()
        self.slow = SlowVitals()
        self._hearsay = Hearsay(self.ward)
        self._contact = Contact(self.roster, self._hearsay)
        self._silence = Silence(self.ward, self._hearsay, self.beds.place)
        self._early = Early(self.roster, self.wearables, self.ward, self.limits)
        self._parked = Away()
        self._woken: list[str] = []  # for whose alarms this tick may be due
        self._anew_ns = 0  # when it began anew, until the roll call; 0: it did not

    def feed(self, items: Iterable[Item]) -> list[Row]:
        """Take items in the order of the journal; how they are grouped into calls changes nothing."""
        rows: list[Row] = []
        queues: dict[str, list[Data]] = {}  # by patient
        for item in items:
            if self._anew_ns == _AT_FIRST:
                self._begin(item)
            if isinstance(item, Data):
                if device := self.roster.devices.get(item.device):
                    queues.setdefault(device.patient, []).append(item)
                continue
            if isinstance(item, OfAll) or item.patient in queues:  # what concerns others need not wait
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
        told = self._hearsay
        return msgspec.msgpack.encode(
            ShardImage(
                format=FORMAT,
                alarms=self.ward.image(),
                parked=self._parked.image(),
                late=tuple(sorted(told.late)),
                failing=told.faults.failing,
                flooding=told.flooding,
                early=told.early,
                anew_ns=self._anew_ns,
                since_ns=self.ward.since_ns,
                devices=tuple(self.roster.devices.values()),
                patients=tuple(self.roster.patients.values()),
                left=self.roster.left,
                lanes=self.wearables.images(),
                beds=self.beds.image(),
                faults=told.faults.image(),
                courses=self.courses.image(),
                breathing=self.breathing.image(),
                limits=self.limits.image(),
                slow=self.slow.image(),
                silence=self._silence.image(),
                joined_ns=dict(self._silence.joined_ns),
            )
        )

    def restore(self, version: int, image: bytes) -> list[str]:
        """Take up a snapshot; return why any part of it could not be taken up."""
        if version not in self.READS:  # the fold tells the devices again; their first blocks start the rows anew
            self._anew_ns = _AT_FIRST
            problem = f"a shard of version {version} came, this is version {self.VERSION}: every row starts anew"
            try:
                self._restore_lasting(decode_lasting(image))
                parked = list(self._parked.alarms())
            except (ValueError, msgspec.DecodeError, zlib.error) as error:
                parked, self.ward.since_ns = [], _AT_FIRST
                problem += f", alarms too ({error}): those that stood end, and what still holds is raised anew"
            for patient, one in parked:
                self.ward.wake(patient, one.alarms)
                self._hearsay.late |= {patient} if one.late else set()
            self._parked = Away()  # the fold parks them again
            return [problem]
        kept = decode_image(image)
        self._restore_lasting(kept)
        self._hearsay.faults.restore(kept.failing, kept.faults)
        self._anew_ns, self.ward.since_ns = kept.anew_ns, kept.since_ns
        self.roster.patients = {patient.key: patient for patient in kept.patients}
        self.roster.devices = {device.key: device for device in kept.devices}
        self.roster.left, self._hearsay.early = dict(kept.left), kept.early
        self.beds.restore(kept.beds)
        self.limits.restore(kept.limits)
        self._silence.restore(kept.silence, kept.joined_ns)
        for device in kept.devices:
            self.wearables.plug(device)
        problems = [*self.wearables.restore(kept.lanes), *self.courses.restore(kept.courses)]
        problems += self.breathing.restore(kept.breathing) if kept.breathing else []
        return problems + (self.slow.restore(kept.slow) if kept.slow else [])

    def _restore_lasting(self, kept: Lasting) -> None:
        self._parked.restore(kept.parked)
        self.ward.restore(kept.alarms)
        told = self._hearsay
        told.late, told.flooding = set(kept.late), kept.flooding
        told.faults.restore(kept.failing, {})

    def _begin(self, item: Item) -> None:
        """Take the time of the first item as that at which everything began anew."""
        self._anew_ns = item.now_ns if isinstance(item, Park) else item.arrival_ns
        if self.ward.since_ns == _AT_FIRST:
            self.ward.since_ns = self._anew_ns - 1  # what is true at that very time is raised at it

    def _other(self, item: Other) -> list[Row]:
        rows = self._told(self._happened(item))
        rows += self.beds.after(rows, self.ward.standing)
        if isinstance(item, Tick):
            rows += self.beds.tick(item.arrival_ns)
            for key in self._woken:
                self._shelve(key)
        elif not isinstance(item, OfAll):
            self._shelve(item.patient)
        return rows

    def _told(self, rows: Iterable[Row]) -> list[Row]:
        return [self._silence.told(self.ward.learned(row)) if isinstance(row, AlarmEvent) else row for row in rows]

    def _happened(self, item: Other) -> Sequence[Row]:
        rows: Sequence[Row] = ()
        match item:
            case Bind():
                rows = self._bind(item)
            case Unbind():
                rows = self._unbind(item)
            case Park():
                rows = self._park(item)
            case Placed() | Limited():
                rows = self._move(item)
            case Flooded():
                rows = self._flooded(item)
            case Ailing():
                rows = self._hearsay.ailing(item) if item.patient in self.roster.patients else ()
            case Tick() | Reported() | Hushed():
                rows = self._of_all(item)
            case Commanded():
                meant = self._silence.meant(item)
                if isinstance(meant, Answer):
                    return [meant]
                self._wake(meant.patient)
                rows = self.ward.obey(meant)
        return rows

    def _of_all(self, item: OfAll) -> Sequence[Row]:
        if isinstance(item, Tick):
            return self._tick(item)
        return self._hushed(item) if isinstance(item, Hushed) else self._hearsay.report(item)

    def _move(self, item: Placed | Limited) -> list[BedState]:
        if isinstance(item, Limited):
            self.limits.set(item.patient, item.limits)
            return []
        if not item.admitted:
            self.limits.forget(item.patient)
        if self.beds.knows(item):
            return []
        self._wake(item.patient)
        [standing] = self.ward.standing([item.patient])
        return self.beds.move(item, standing)

    def _bind(self, item: Bind) -> Sequence[Row]:
        self._wake(item.patient)
        device = self.roster.bind(item)
        if device is None:
            return ()
        self.wearables.plug(device)
        self.ward.admit(item.patient)
        if self._anew_ns:  # the alarm tells what the device's own record would
            device.lost = device.lost or self.ward.stands(item.patient, "lost-contact")
        return self._hearsay.bound(item.device, item.patient)

    def _unbind(self, item: Unbind) -> list[Row]:
        self._wake(item.patient)
        self.wearables.unplug(item.device)
        gone = self.roster.unbind(item.device, item.patient)
        if gone is not None:
            self._hearsay.forget(gone.key)
            self.courses.forget(gone.key)
            self.breathing.forget(gone.key)
            self.slow.forget(gone.key)
            return list(self.ward.discharge(gone.key, item.arrival_ns, item.reason))
        rows: list[Row] = []
        if item.patient in self.roster.patients and not self._contact.lost(item.patient):
            rows += self._contact.tell({item.patient: item.arrival_ns}, lost=False)
        return rows

    def _park(self, item: Park) -> list[Row]:
        rows: list[Row] = []
        if item.patient in self._parked:
            self._wake(item.patient)
        self.wearables.unplug(item.device)
        if self.roster.park(item):
            self.ward.admit(item.patient)
            rows += self._contact.tell({item.patient: item.now_ns}, lost=True)
        return rows

    def _shelve(self, key: str) -> None:
        """Put a patient away if every device is parked."""
        patient = self.roster.patients.get(key)
        if patient is not None and not patient.devices:
            (cells, lore), late = self.ward.park(key), key in self._hearsay.late
            record = Parked(cells, late, self.roster.patients.pop(key), self.courses.park(key), lore)
            self._hearsay.late.discard(key)
            self.breathing.forget(key)
            self.slow.forget(key)
            self._parked.put(key, record)

    def _flooded(self, item: Flooded) -> list[AlarmEvent]:
        return self._hearsay.flooded(item, here=item.patient in self.roster.patients)

    def _wake(self, key: str) -> None:
        """Take a patient up again who was put away."""
        if key in self._parked:
            record = self._parked.take(key)
            self.roster.patients[key] = record.patient
            self.ward.wake(key, record.alarms, record.lore)
            self.courses.wake(key, record.course)
            if record.late:
                self._hearsay.late.add(key)

    def _packets(self, round_: Mapping[str, Data]) -> list[Row]:
        spoke = [(self.roster.devices[data.device], data) for data in round_.values()]
        self.wearables.step(spoke)
        back: dict[str, int] = {}
        for device, data in spoke:
            periods_ns = device.birth.periods_ns
            end_ns = data.t0_ns + min(periods_ns[block.stream] for block in data.blocks)
            device.spoke(data, end_ns)
            if device.lost:
                device.lost = False
                back[device.patient] = data.arrival_ns
        found = self._contact.tell({key: ns for key, ns in back.items() if not self._contact.lost(key)}, lost=False)
        rows: list[Row] = [*map(self._silence.told, found)]
        patients = [self.roster.patients[key] for key in round_]
        rows += self._close(patients, {key: (data.arrival_ns, data.awake_ns) for key, data in round_.items()})
        rows += self._early.look(spoke)
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
        keys = [closing.patient.key for closing in closings]
        limits = self.limits.of(keys)
        known = self.wearables.estimates(worn, end_ns, limits[:, HR])
        # A device that runs ahead of time tells nothing, and that must not pass for one that is not worn.
        known.worn[:] = [self.wearables.measures(self.roster.worn(closing.patient)) for closing in closings]
        vitals = fusion.fused(known)
        wards = [self.beds.place(key)[0] for key in keys]
        breath = self.breathing.step(keys, known, end_ns)
        course = self.courses.step(
            keys, np.array([c.second for c in closings], np.int64), fusion.at_rest(known, vitals, breath)
        )
        slow = self.slow.step(keys, known, course, end_ns)
        made = Made(vitals, breath, course, slow)
        rows: list[Row] = list(vitals_rows(closings, known, made, received(closings, worn), wards))
        strips = zip(closings, self.wearables.strips(worn, end_ns, 1.0), strict=True)
        rows += [wave_row(closing, *strip) for closing, strip in strips if strip is not None]
        moment = Moment(keys, end_ns.tolist(), [c.arrival_ns for c in closings], known.cardiac.quality.tolist())
        rows += self.ward.observe(moment, findings.evidence(known, made, limits, end_ns))
        return rows + self._hearsay.lateness(moment)

    def _tick(self, tick: Tick) -> list[Row]:
        rows: list[Row] = list(self._hearsay.link(tick)) if tick.ward else []
        rows += self._contact.tick(tick)
        ripe = [patient for patient in self.roster.patients.values() if patient.ripe_ns]
        rows += self._close(ripe, {p.key: (tick.arrival_ns, tick.awake_ns) for p in ripe}, tick=True)
        self._woken = self._parked.due(tick.arrival_ns)
        for key in self._woken:  # until what comes of it is told
            self._wake(key)
        rows += self.ward.tick(tick.arrival_ns)
        if self._anew_ns and tick.arrival_ns - self._anew_ns >= ROLL_CALL_NS:
            rows += self._roll_call(tick.arrival_ns)
        return rows

    def _roll_call(self, arrival_ns: int) -> list[Row]:
        """Say what stands, so that what does not ends in the store."""
        self._anew_ns = self.ward.since_ns = 0
        rows: list[Row] = []
        for key in self.ward.bank.keys:
            if key not in self.roster.patients and not is_of_a_ward(key):
                rows += self.ward.discharge(key, arrival_ns, "nobody is told of this patient any more")
        parked = [self.ward.ids_in(key, one.alarms) for key, one in self._parked.alarms()]
        # Beds start anew, too: what was told of them before a restart may be newer than what was told since.
        rows += self.beds.again(arrival_ns)
        return [*rows, RollCall(frozenset(self.ward.ids()).union(*parked), arrival_ns)]

    def _hushed(self, item: Hushed) -> list[AlarmEvent]:
        """Tell of a ward; of a patient whose device stays silent when it is over, alone from then on."""
        rows = self._silence.take(item)
        alone = [] if item.silent else self._silence.alone(item.subject)
        for key in alone:
            self._wake(key)
        rows += self._contact.again(dict.fromkeys(alone, item.arrival_ns))
        for key in alone:
            self._shelve(key)
        return rows

    def _strip(self, key: str, event_ns: int) -> tuple[bytes, float]:
        patient = self.roster.patients.get(key)  # the ward itself is none
        worn = [self.roster.worn(patient)] if patient else []
        strips = self.wearables.strips(worn, np.array([event_ns], np.int64), 10.0)
        return as_counts(strips[0].samples) if strips and strips[0] else (b"", float("nan"))
