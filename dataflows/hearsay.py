"""What is true of patients, and of the ward, by the journal's clock and by what others say, not by a sensor."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from dataflows.alarms import STALE_NS, nothing_known
from dataflows.events import SECOND_NS, AlarmEvent, Condition
from dataflows.faults import Faults
from dataflows.items import WARD_KEY, Ailing, Flooded, Reported, Tick, name_of
from dataflows.rules import COLUMN
from dataflows.ward import Moment, Ward

EARLY_KEPT = 256  # floods of those who may have left for good


class Hearsay:
    """Tells a shard's alarms of late data, floods, the broker, and what parts of the system report.

    Parameters
    ----------
    ward
        The alarms.

    Attributes
    ----------
    late
        Patients whose newest second was stale when it closed.
    faults
        Parts of the system that are in trouble.
    flooding
        By patient, devices that flood, each with its packets too many.
    early
        By patient and device, a flood of one that is yet to be bound, and its end: the binding waits behind what the
        device had sent.
    """

    def __init__(self, ward: Ward) -> None:
        self._ward = ward
        self.late: set[str] = set()
        self.faults = Faults()
        self.flooding: dict[str, dict[str, int]] = {}
        self.early: dict[str, tuple[Flooded, ...]] = {}

    def forget(self, patient: str) -> None:
        """Let a patient go."""
        self.late.discard(patient)
        self.flooding.pop(patient, None)

    def lateness(self, moment: Moment) -> list[AlarmEvent]:
        """Tell of data that steadily come too late to page, by the journal's clock: staleness must not mute it."""
        age_ns = {p: at - end for p, end, at in zip(*moment[:3], strict=True)}
        late = [patient for patient, ns in age_ns.items() if ns > STALE_NS]
        over = [patient for patient in age_ns if patient in self.late and age_ns[patient] <= STALE_NS]
        self.late = (self.late | set(late)) - set(over)
        arrivals = dict(zip(moment.patients, moment.arrival_ns, strict=True))
        rows: list[AlarmEvent] = []
        for patients, truth in ((late, True), (over, False)):
            if patients:
                at_ns = [arrivals[patient] for patient in patients]
                age_s = [age_ns[patient] / SECOND_NS for patient in patients]
                rows += self.told("late-data", patients, at_ns, at_ns, age_s, truth=truth)
        return rows

    def bound(self, device: str, patient: str) -> list[AlarmEvent]:
        """Tell what was told too early of a device that is now bound."""
        floods = self.early.pop(f"{patient} {device}", ())
        return [row for flood in floods for row in self.flooded(flood, here=True)]

    def flooded(self, item: Flooded, *, here: bool) -> list[AlarmEvent]:
        """Take note of a flood that begins or ends.

        Parameters
        ----------
        item
            The device, and whose it is.
        here
            The shard knows the patient.
        """
        if item.patient == WARD_KEY:
            self._ward.admit(WARD_KEY)
        elif not here:  # to come, or gone meanwhile
            self._early(item)
            return []
        devices = self.flooding.get(item.patient, {})
        if not item.packets and item.device not in devices:
            return []
        more = bool(item.packets) and bool(devices) and item.device not in devices
        devices = {device: packets for device, packets in devices.items() if device != item.device}
        devices |= {item.device: item.packets} if item.packets else {}
        self.flooding[item.patient] = devices
        if not devices:
            del self.flooding[item.patient]
        at, value = item.arrival_ns, [float(sum(devices.values()))]
        before: list[AlarmEvent] = []
        if more:  # the alarm for another device may be acknowledged: it ends an instant before the next begins
            before = self.told("flooding", [item.patient], [at - 1], [at - 1], value, truth=False)
        rows = self.told("flooding", [item.patient], [at], [at], value, truth=bool(devices))
        who = ", ".join(sorted(map(name_of, devices)))
        return [
            *(replace(row, reason="raised anew, as another device floods, too") for row in before),
            *(replace(row, reason=f"{who} {row.reason}" if who else row.reason) for row in rows),
        ]

    def ailing(self, item: Ailing) -> list[AlarmEvent]:
        """Take note of what is wrong with a patient's devices by their own word."""
        at = item.arrival_ns
        rows = self.told("device-fault", [item.patient], [at], [at], [float("nan")], truth=bool(item.words))
        return [replace(row, reason=item.words or row.reason) for row in rows]

    def _early(self, item: Flooded) -> None:
        key = f"{item.patient} {item.device}"
        begun = self.early.pop(key, ())[:1]
        if item.packets or begun:
            self.early[key] = (item,) if item.packets else (*begun, item)
        if len(self.early) > EARLY_KEPT:
            del self.early[next(iter(self.early))]

    def link(self, tick: Tick) -> list[AlarmEvent]:
        """Take note of how the connection to the broker is."""
        self._ward.admit(WARD_KEY)
        at, down = tick.arrival_ns, tick.link_down_ns
        rows = self.told("broker-lost", [WARD_KEY], [at], [down], [(at - down) / SECOND_NS], truth=down > 0)
        return [*rows, *self._system(at, news=True)] if self.faults.due(at) else rows

    def report(self, report: Reported) -> list[AlarmEvent]:
        """Take note of what a part of the system says of itself."""
        self._ward.admit(WARD_KEY)
        return self._system(report.arrival_ns, news=self.faults.take(report))

    def _system(self, at: int, *, news: bool) -> list[AlarmEvent]:
        """Raise or end the alarm for all parts of the system."""
        value, truth = [float(len(self.faults.failing))], bool(self.faults.failing)
        before: list[AlarmEvent] = []
        if news:  # the alarm for what failed before may be acknowledged: it ends an instant before the next begins
            before = self.told("system-fault", [WARD_KEY], [at - 1], [at - 1], value, truth=False)
        rows = self.told("system-fault", [WARD_KEY], [at], [at], value, truth=truth)
        if rows and truth:
            self.faults.told(at)
        return [
            *(replace(row, reason="raised anew, as more is in trouble") for row in before),
            *(replace(row, reason=self.faults.words or row.reason) for row in rows),
        ]

    def told(
        self,
        condition: Condition,
        patients: list[str],
        at_ns: Sequence[int],
        onset_ns: Sequence[int],
        value: Sequence[float],
        *,
        truth: bool,
    ) -> list[AlarmEvent]:
        """Observe one condition of some patients."""
        known, column = nothing_known(len(patients)), COLUMN[condition]
        known.truth[:, column] = truth
        known.onset_ns[:, column] = np.array(onset_ns, np.int64)
        known.value[:, column] = value
        moment = Moment(patients, list(at_ns), list(at_ns), [float("nan")] * len(patients))
        return self._ward.observe(moment, known)
