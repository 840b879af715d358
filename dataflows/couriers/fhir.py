"""Carries vitals and alarms to a FHIR server: of each patient one second in so many, and every event of an alarm.

Every resource is put under an id made from its row, so that what is sent again overwrites itself. Devices go before the
vitals that name them, and again when something changed that matters.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from dataflows.couriers.cursors import Refused
from dataflows.couriers.delivery import DeliveryFailed, TakesAll
from dataflows.couriers.fhir_options import FhirOptions
from dataflows.couriers.fhir_server import FhirServer, Unfit
from dataflows.events import NAN, AlarmEvent, DeviceStatus, Vitals
from dataflows.fhir.alarms import alarm_bundle
from dataflows.fhir.bundles import put
from dataflows.fhir.codes import UnmappedError
from dataflows.fhir.devices import device, metrics
from dataflows.fhir.resources import Resource
from dataflows.fhir.vitals import observations
from dataflows.store import Store, Stored

DAY_S: Final = 86_400.0
MOST_ROWS: Final = 20  # seconds in one bundle: some 300 observations, 300 kB
LOOK_S: Final = 10.0  # for how long what is known of devices holds

_Place = tuple[str, str]  # site and patient, or site and device


class _Worn(NamedTuple):
    """Who wears what, read now and then."""

    read_s: float
    devices: dict[_Place, list[DeviceStatus]]  # by site and patient


class FhirCourier(TakesAll):
    """A courier (see `carrier.Courier`): vitals in one lane, each alarm in its own.

    Parameters
    ----------
    options
        Where they go.
    store
        Path of the store that the rows come from: it knows the devices.
    now_s
        Monotonic clock.
    """

    name = "fhir"
    revised = ()
    batch = 200
    linger_s = 0.5
    hold_s = 0.0

    def __init__(self, options: FhirOptions, store: str, now_s: Callable[[], float] = time.monotonic) -> None:
        wanted = ((AlarmEvent.kind, options.alarms), (Vitals.kind, options.every_s > 0))
        self.kinds = tuple(kind for kind, is_wanted in wanted if is_wanted)
        self._options, self._path, self._now_s = options, store, now_s
        self._server = FhirServer(options)
        self._store: Store | None = None
        self._sent: dict[_Place, int] = {}  # of each patient, the newest period whose vitals went out
        self._told: dict[_Place, tuple[Resource, ...]] = {}  # of each device, what the server knows
        self._worn = _Worn(-float("inf"), {})

    def lane(self, row: Stored) -> str:
        """An alarm's events stay in order and wait for nobody."""
        return f"{row.row.site}/{row.row.id}" if isinstance(row.row, AlarmEvent) else ""

    def give_up_s(self, row: Stored) -> float | None:
        """An alarm becomes a dead letter after a day; vitals wait in the store."""
        return DAY_S if isinstance(row.row, AlarmEvent) else None

    def deliver(self, rows: Sequence[Stored]) -> list[Refused]:
        """Put what the rows say, as far as it is wanted."""
        refused = [answer for stored in rows if (answer := self._alarm(stored)) is not None]
        due = self._due(rows)
        while part := list(islice(due, MOST_ROWS)):
            self._tell_devices(part)
            refused += self._vitals(part)
            for _, row in part:
                self._sent[row.site, row.patient] = row.second // self._options.every_s
        return refused

    def close(self) -> None:
        """Close connections and the store."""
        self._server.close()
        if self._store is not None:
            self._store.close()
            self._store = None

    def _alarm(self, stored: Stored) -> Refused | None:
        if not isinstance(stored.row, AlarmEvent):
            return None
        try:
            bundle = alarm_bundle(stored.row, raised=self._raised(stored.row), kind="transaction")
        except UnmappedError as error:
            return Refused(stored, str(error))
        answer = self._server.post(bundle)
        if isinstance(answer, Unfit):  # by what it says of one row it cannot be told whose fault it is
            raise DeliveryFailed(f"the FHIR server refuses an alarm: {answer.reason}", of_row=True)
        return None

    def _raised(self, event: AlarmEvent) -> AlarmEvent | None:
        """Return the event that holds the alarm's strip, which a later one goes on to refer to."""
        if event.strip or not event.step:
            return None
        return next((one for one in self._opened().history(event.id) if one.strip and one.step < event.step), None)

    def _due(self, rows: Sequence[Stored]) -> Iterator[tuple[Stored, Vitals]]:
        """Return the first second of each patient in each period, of periods of which none went out."""
        known = dict(self._sent)
        for stored in rows:
            row = stored.row
            if isinstance(row, Vitals):
                period = row.second // self._options.every_s
                if period > known.get((row.site, row.patient), -1):
                    known[row.site, row.patient] = period
                    yield stored, row

    def _vitals(self, part: Sequence[tuple[Stored, Vitals]]) -> list[Refused]:
        """Put vitals; those that the server refuses for what they say are returned, the others are taken.

        Raises
        ------
        DeliveryFailed
            Some may not be taken, or all are refused: then the server itself is at fault.
        """
        refused = self._put(part)
        if len(refused) == len(part) > 1:
            raise DeliveryFailed(f"the FHIR server refuses all vitals: {refused[0].reason}")
        return refused

    def _put(self, part: Sequence[tuple[Stored, Vitals]]) -> list[Refused]:
        built = [(stored, observations(row, self._devices(row))) for stored, row in part]
        answer = self._server.post(put((one for _, resources in built for one in resources), "batch"))
        if isinstance(answer, Unfit):
            if len(part) == 1:
                return [Refused(part[0][0], answer.reason)]
            half = len(part) // 2
            return [*self._put(part[:half]), *self._put(part[half:])]
        whys, refused = iter(answer), []
        for stored, resources in built:
            if bad := [why for why in islice(whys, len(resources)) if why]:
                refused.append(Refused(stored, bad[0]))
        return refused

    def _tell_devices(self, part: Sequence[tuple[Stored, Vitals]]) -> None:
        """Put the devices that the vitals name, where the server does not know them as they are."""
        now: dict[_Place, tuple[Resource, ...]] = {}
        for _, row in part:
            for status in self._devices(row):
                now[status.site, status.device] = (device(_steady(status)), *metrics(_steady(status)))
        news = {place: resources for place, resources in now.items() if self._told.get(place) != resources}
        if not news:
            return
        answer = self._server.post(put((one for resources in news.values() for one in resources), "batch"))
        why = answer.reason if isinstance(answer, Unfit) else next(filter(None, answer), "")
        if why:
            raise DeliveryFailed(f"the FHIR server refuses a device: {why}")
        self._told |= news

    def _devices(self, row: Vitals) -> Sequence[DeviceStatus]:
        if self._now_s() - self._worn.read_s >= LOOK_S:
            worn: dict[_Place, list[DeviceStatus]] = {}
            for status in self._opened().devices().values():
                if status.patient and status.state != "gone":
                    worn.setdefault((status.site, status.patient), []).append(status)
            self._worn = _Worn(self._now_s(), worn)
        return self._worn.devices.get((row.site, row.patient), ())

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self._path, readonly=True)
        return self._store


def _steady(status: DeviceStatus) -> DeviceStatus:
    """A status without what is another one every two seconds."""
    return msgspec.structs.replace(status, noise_floor=NAN, clock_offset_ms=NAN, revision=0)
