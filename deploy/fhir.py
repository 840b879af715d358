"""`femtoward fhir`: vitals, alarms and devices of a time and of patients, out of the store, as FHIR resources."""

from collections.abc import Iterator
from typing import NamedTuple

from dataflows.events import SECOND_NS, AlarmEvent, DeviceStatus, PatientInfo, Vitals
from dataflows.fhir.alarms import alarm_resources
from dataflows.fhir.devices import device, metrics
from dataflows.fhir.resources import Resource
from dataflows.fhir.vitals import observations
from dataflows.store import Store
from deploy.problem import UserError

LAST_S = 600  # without a time, the newest ten minutes


class Ask(NamedTuple):
    """What is wanted."""

    patients: tuple[str, ...] = ()  # none: every one
    since_s: int | None = None  # None: ten minutes before `until_s`
    until_s: int | None = None  # None: up to the newest
    every_s: int = 60  # of each patient, one second in so many
    alarms: bool = True


def resources(store: Store, ask: Ask) -> Iterator[Resource]:
    """Devices first, then vitals by patient and second, then alarms by onset.

    An alarm stands here as it stood at the end of the time, with the strip that it was raised by.
    """
    newest = max((row.second for row in store.latest_vitals().values()), default=0) + 1
    end_s = newest if ask.until_s is None else ask.until_s
    first_s = max(0, end_s - LAST_S) if ask.since_s is None else ask.since_s
    patients = _patients(store, ask)
    devices = _worn(store, patients)
    for worn in devices.values():
        for status in worn:
            yield device(status)
            yield from metrics(status)
    for place in patients:
        for row in thinned(store.seconds(*place, first_s, end_s), ask.every_s):
            yield from observations(row, devices.get(place, ()))
    if ask.alarms:
        for event in store.alarms():
            if (event.site, event.patient) in patients and event.onset_ns // SECOND_NS in range(first_s, end_s):
                yield from _alarm(store.history(event.id), end_s)


def thinned(rows: list[Vitals], every_s: int) -> Iterator[Vitals]:
    """Return the first row in each period of so many seconds."""
    last = None
    for row in rows:
        if row.second // every_s != last:
            last = row.second // every_s
            yield row


def check_known(patients: set[str], ask: Ask) -> None:
    """Refuse a patient that nobody knows.

    Raises
    ------
    UserError
        There is one.
    """
    for name in ask.patients:
        if name not in patients:
            some = ", ".join(sorted(patients)[:10]) or "none at all"
            raise UserError(f"no patient {name!r}; these are known: {some}{' ...' if len(patients) > 10 else ''}")


def _patients(store: Store, ask: Ask) -> dict[tuple[str, str], PatientInfo | None]:
    known: dict[tuple[str, str], PatientInfo | None] = dict.fromkeys(store.latest_vitals())
    known |= store.patients()
    return {place: known[place] for place in sorted(known) if not ask.patients or place[1] in ask.patients}


def _worn(
    store: Store, patients: dict[tuple[str, str], PatientInfo | None]
) -> dict[tuple[str, str], list[DeviceStatus]]:
    worn: dict[tuple[str, str], list[DeviceStatus]] = {}
    for status in store.devices().values():
        if (status.site, status.patient) in patients:
            worn.setdefault((status.site, status.patient), []).append(status)
    return worn


def _alarm(history: list[AlarmEvent], end_s: int) -> Iterator[Resource]:
    so_far = [event for event in history if event.event_ns < end_s * SECOND_NS] or history[:1]
    raised = next((event for event in so_far if event.strip), None)
    yield from alarm_resources(so_far[-1], raised)
