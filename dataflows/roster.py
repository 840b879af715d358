"""Who is here: devices, patients, and when a patient's second is complete."""

import msgspec

from dataflows.device import HOLE_NS
from dataflows.events import SECOND_NS
from dataflows.items import Bind, Data, Park
from ingest.profile import Birth

LOST_NS = 10 * SECOND_NS  # a device that is silent for so long is lost
PATIENCE_NS = SECOND_NS // 2  # how long a complete second waits for the patient's other devices
LEFT_KEPT = 1024  # patients who left of whom the last second is remembered
FUTURE_NS = 2 * SECOND_NS  # a device that is further ahead of its arrival closes no second where another one is not
MAX_AHEAD_NS = 8 * SECOND_NS  # no device runs further ahead of the second that waits to be closed


class Device(msgspec.Struct, array_like=True):
    """A device as a patient wears it."""

    key: str  # site/device
    patient: str  # site/patient
    birth: Birth
    awake_ns: int  # journal's waking time of the newest packet
    arrival_ns: int
    lost: bool = False
    start_ns: int = 0  # corrected time: the present run of samples without a hole ...
    end_ns: int = 0
    offset_ns: int = 0  # corrected minus raw time
    before_start_ns: int = 0  # ... and the run before it
    before_end_ns: int = 0

    def spoke(self, data: Data, end_ns: int) -> None:
        """Take note of a packet in order."""
        if data.t0_ns - self.end_ns > HOLE_NS:
            self.before_start_ns, self.before_end_ns = self.start_ns, self.end_ns
            self.start_ns = data.t0_ns
        self.end_ns, self.offset_ns = end_ns, data.offset_ns
        self.awake_ns, self.arrival_ns = data.awake_ns, data.arrival_ns

    def covered_ns(self, second: int) -> int:
        """Time within a second of which samples came."""
        a, b = second * SECOND_NS, (second + 1) * SECOND_NS
        now = max(0, min(b, self.end_ns) - max(a, self.start_ns))
        return now + max(0, min(b, self.before_end_ns) - max(a, self.before_start_ns))


class Patient(msgspec.Struct, array_like=True):
    """A patient and the next second to close."""

    key: str  # site/patient
    devices: list[str] = []  # those that speak, or did not long ago
    parked: dict[str, int] = {}  # silent ones: arrival time of the newest packet
    next_second: int = 0  # 0: no data yet
    ripe_ns: int = 0  # waking time at which the first device had passed that second; 0: none has


class Roster:
    """Devices and patients of one shard."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.patients: dict[str, Patient] = {}
        self.left: dict[str, int] = {}  # next second of patients who left: their time goes on from there

    def bind(self, bind: Bind) -> Device | None:
        """Give a device to a patient, or renew its profile; None if nothing is new."""
        known = self.devices.get(bind.device)
        if known is not None and (known.patient, known.birth) == (bind.patient, bind.birth):
            return None
        if bind.patient not in self.patients:
            self.patients[bind.patient] = Patient(bind.patient, next_second=self.left.pop(bind.patient, 0))
        patient = self.patients[bind.patient]
        if bind.device not in patient.devices:
            patient.devices.append(bind.device)
        device = Device(bind.device, bind.patient, bind.birth, bind.awake_ns, bind.arrival_ns)
        if bind.device in patient.parked:  # lost until it speaks
            device.arrival_ns, device.lost = patient.parked.pop(bind.device), True
        if known is not None and known.patient == bind.patient:  # another profile does not break a silence
            device.awake_ns, device.arrival_ns, device.lost = known.awake_ns, known.arrival_ns, known.lost
        self.devices[bind.device] = device
        return device

    def unbind(self, key: str, patient_key: str) -> Patient | None:
        """Take a device away; return the patient if it was the last one."""
        patient = self.patients.get(patient_key)
        if patient is None or (key not in patient.devices and key not in patient.parked):
            return None
        if patient.parked.pop(key, None) is None:
            del self.devices[key]
            patient.devices.remove(key)
        if patient.devices or patient.parked:
            return None
        self.left[patient.key] = patient.next_second
        if len(self.left) > LEFT_KEPT:
            del self.left[next(iter(self.left))]
        return self.patients.pop(patient.key)

    def park(self, park: Park) -> bool:
        """Keep of a device only that it is lost; whether that is news."""
        patient = self.patients.setdefault(park.patient, Patient(park.patient))
        if park.device in patient.parked:
            return False
        known = self.devices.pop(park.device, None)
        if known is not None:
            patient.devices.remove(park.device)
        patient.parked[park.device] = park.arrival_ns
        return known is None or not known.lost

    def lost(self, patient: Patient) -> bool:
        """Whether any device of a patient is lost."""
        return bool(patient.parked) or any(device.lost for device in self.worn(patient))

    def worn(self, patient: Patient) -> list[Device]:
        """Devices of a patient, in the order in which they came."""
        return [self.devices[key] for key in patient.devices]

    def speaking(self, patient: Patient, second: int) -> list[Device]:
        """Devices whose samples can tell of a second: of those far ahead of it nothing that old is known any more."""
        worn, end_ns = self.worn(patient), (second + 1) * SECOND_NS
        return [device for device in worn if device.end_ns - end_ns <= MAX_AHEAD_NS + SECOND_NS] or worn

    def complete(self, patient: Patient, awake_ns: int, *, tick: bool) -> int | None:
        """Return the second to close now, if there is one.

        A second is complete when every live device has passed it, at the first tick half a second after some device
        has, or when a device has run far ahead. Seconds of which no device has data are passed over.
        """
        live = [d for d in self.worn(patient) if d.end_ns and awake_ns - d.awake_ns < LOST_NS]
        if not live:
            return None
        # A device whose time ran away must not drag the others' after it.
        live = [d for d in live if d.end_ns - d.arrival_ns <= FUTURE_NS] or live
        if not patient.next_second:
            patient.next_second = -(-min(d.start_ns for d in live) // SECOND_NS)
        while True:
            second = patient.next_second
            end_ns = (second + 1) * SECOND_NS
            ahead_ns = max(d.end_ns for d in live) - end_ns
            if ahead_ns < 0:
                return None
            if any(d.covered_ns(second) for d in live):
                break
            later = [d.start_ns // SECOND_NS for d in live if d.start_ns // SECOND_NS > second]
            patient.next_second = max(second + 1, min(later, default=0))
            patient.ripe_ns = 0
        patient.ripe_ns = patient.ripe_ns or awake_ns
        waited = tick and awake_ns - patient.ripe_ns >= PATIENCE_NS
        if min(d.end_ns for d in live) >= end_ns or waited or ahead_ns > MAX_AHEAD_NS:
            patient.next_second, patient.ripe_ns = second + 1, 0
            return second
        return None
