"""Who is heard and who is not: lost contact of patients, by the journal's clock."""

from collections.abc import Mapping

from dataflows.events import SECOND_NS, AlarmEvent
from dataflows.hearsay import Hearsay
from dataflows.items import Tick
from dataflows.roster import LOST_NS, Roster


class Contact:
    """Tells a shard's alarms which patients have a device that is silent.

    Parameters
    ----------
    roster
        Devices and patients.
    hearsay
        Observes conditions that no sensor knows.
    """

    def __init__(self, roster: Roster, hearsay: Hearsay) -> None:
        self._roster, self._hearsay = roster, hearsay

    def tick(self, tick: Tick) -> list[AlarmEvent]:
        """Find who has been silent for too long."""
        newly: dict[str, int] = {}
        fresh: set[str] = set()
        for device in self._roster.devices.values():
            device.awake_ns = min(device.awake_ns, tick.awake_ns)  # a stall is found out only by the tick after it
            if not device.lost and tick.awake_ns - device.awake_ns >= LOST_NS:
                device.lost = True
                newly[device.patient] = tick.arrival_ns
                fresh.add(device.key)
        # That nobody is left to hear of is news, though an alarm for another device stands and may be acknowledged:
        # that one ends, an instant before the next of its kind begins.
        deserted = {key: at_ns - 1 for key, at_ns in newly.items() if self._deserted(key, fresh)}
        return [*self.tell(deserted, lost=False), *self.tell(newly, lost=True)]

    def tell(self, patients: Mapping[str, int], *, lost: bool) -> list[AlarmEvent]:
        """Raise or end lost contact of patients, by the arrival time of what told."""
        if not patients:
            return []
        since = [self._silent_since(key, at_ns) if lost else at_ns for key, at_ns in patients.items()]
        silent_s = [(at_ns - ns) / SECOND_NS for at_ns, ns in zip(patients.values(), since, strict=True)]
        onset_ns = [ns + LOST_NS for ns in since]
        return self._hearsay.told(
            "lost-contact", list(patients), list(patients.values()), onset_ns, silent_s, truth=lost
        )

    def again(self, patients: Mapping[str, int]) -> list[AlarmEvent]:
        """Tell anew of those who are still lost: what was told before ends an instant before."""
        lost = {key: at_ns for key, at_ns in patients.items() if key in self._roster.patients and self.lost(key)}
        before = {key: at_ns - 1 for key, at_ns in lost.items()}
        return [*self.tell(before, lost=False), *self.tell(lost, lost=True)]

    def lost(self, key: str) -> bool:
        """Whether any device of a patient is lost."""
        return self._roster.lost(self._roster.patients[key])

    def _deserted(self, key: str, fresh: set[str]) -> bool:
        """Whether all devices of a patient are lost, and some were before those that are so now."""
        patient = self._roster.patients[key]
        worn = self._roster.worn(patient)
        return all(device.lost for device in worn) and (
            bool(patient.parked) or any(device.key not in fresh for device in worn)
        )

    def _silent_since(self, key: str, now_ns: int) -> int:
        patient = self._roster.patients[key]
        lost = [device.arrival_ns for device in self._roster.worn(patient) if device.lost]
        heard_ns = max([*lost, *patient.parked.values()])
        return heard_ns or now_ns - LOST_NS  # no device of this patient ever spoke
