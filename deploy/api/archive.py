"""The stores of all partitions on this host, as the HTTP API reads them: never more at once than is asked for."""

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, NamedTuple

from dataflows.couriers.receipts import Receipt, receipts
from dataflows.events import SECOND_NS, AlarmEvent, Answer, BedState, DeviceStatus, Ledger, PatientInfo, Vitals
from dataflows.lookup import Lookup
from dataflows.store import LAST, Stored, StoreError, StoreMissing
from deploy.api.asks import AlarmsAsked
from deploy.api.problems import Problem
from deploy.page.silence import Room

AT_ONCE: Final = 200  # rows read
LOOKED_AT: Final = 4000  # for one answer, in each partition; what is rarer takes more answers
APART_NS: Final = 60 * SECOND_NS  # what is committed in one order may have arrived in another, but not by so much
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """An alarm, and the partition that it is in."""

    room: Room
    event: AlarmEvent


class Page(NamedTuple):
    """Some alarms, and where to go on."""

    events: list[AlarmEvent]
    more: bool
    at: str  # cursor
    newest: str  # cursor


class _Part(NamedTuple):
    """What one partition has of a page."""

    name: str
    found: list[Stored]
    at: int  # id that was looked at last
    more: bool


class Archive:
    """Every store on this host; may be asked in several threads.

    Parameters
    ----------
    rooms
        The partitions.
    """

    def __init__(self, rooms: Sequence[Room]) -> None:
        self._rooms = rooms
        self._open: dict[str, Lookup] = {}

    def alarms(self, asked: AlarmsAsked) -> Page:
        """Alarms as they are now that fit, in the order in which they changed last."""
        up = asked.after is not None
        starts = _places(asked.after or asked.before or "")
        newest = dict.fromkeys((room.name for room in self._rooms), 0)
        newest |= {room.name: store.last_id() for room, store in self._stores()}
        parts = [self._part(room, store, asked, starts.get(room.name)) for room, store in self._stores()]
        merged = heapq.merge(
            *(((one.row.arrival_ns, part.name, one) for one in part.found) for part in parts),  # type: ignore[union-attr]  # alarms only
            key=lambda entry: entry[0] if up else -entry[0],
        )
        taken = [entry for entry, _ in zip(merged, range(asked.limit), strict=False)]
        at, more = dict(starts), False
        for part in parts:
            own = [one for _, name, one in taken if name == part.name]
            whole = len(own) == len(part.found)
            at[part.name] = part.at if whole else own[-1].id if own else starts.get(part.name, 0 if up else LAST)
            more |= part.more or not whole
            if up and whole and not part.more:
                at[part.name] = max(newest[part.name], part.at)
        events = [one.row for _, _, one in taken if isinstance(one.row, AlarmEvent)]
        here = _cursor(at)
        return Page(events, more, here, here if up else _cursor(newest))

    def alarm(self, alarm: str) -> Place | None:
        """Newest event of an alarm."""
        for room, store in self._stores():
            if (event := store.alarm(alarm)) is not None:
                return Place(room, event)
        return None

    def history(self, alarm: str) -> list[AlarmEvent]:
        """Every event of an alarm."""
        return next((found for _, store in self._stores() if (found := store.history(alarm))), [])

    def receipts(self, place: Place) -> list[Receipt]:
        """What became of the events of an alarm at each receiver."""
        found = receipts(place.room.folder / "couriers.sqlite", place.event.id)
        return [one for one in found if one.alarm == place.event.id]

    def answer(self, command: str) -> Answer | None:
        """What the flow answered to a command."""
        return next((found for _, store in self._stores() if (found := store.answer(command))), None)

    def devices(self) -> list[DeviceStatus]:
        """Every device."""
        return [row for _, store in self._stores() for row in store.devices().values()]

    def ledger(self, site: str, device: str, hours: int) -> list[Ledger]:
        """Newest hours of a device's ledger."""
        rows = [
            row for _, store in self._stores() for row in store.ledger() if (row.site, row.device) == (site, device)
        ]
        return rows[-hours:]

    def patients(self) -> list[tuple[PatientInfo, BedState | None]]:
        """Every patient who was ever admitted, and how the bed stands."""
        found = []
        for _, store in self._stores():
            beds = store.beds()
            found += [(row, beds.get(place)) for place, row in store.patients().items()]
        return found

    def patient(self, site: str, patient: str) -> Room | None:
        """Partition in which a patient is."""
        return next((room for room, store in self._stores() if store.newest_second(site, patient)), None)

    def seconds(self, site: str, patient: str, seconds: int, after: int | None) -> list[Vitals] | None:
        """Newest seconds of a patient, oldest first; None: nothing is known of any such patient."""
        for _, store in self._stores():
            if (newest := store.newest_second(site, patient)) is not None:
                first = max(newest.second + 1 - seconds, 0 if after is None else after + 1)
                return store.seconds(site, patient, first, newest.second + 1) if first <= newest.second else []
        return None

    def close(self) -> None:
        """Close every store."""
        for store in self._open.values():
            store.close()
        self._open.clear()

    def _stores(self) -> Iterator[tuple[Room, Lookup]]:
        """Each store that is there."""
        for room in self._rooms:
            try:
                store = self._open.get(room.name) or self._open.setdefault(room.name, Lookup(room.store))
            except StoreMissing:
                continue  # the flow has not begun: it has found nothing yet
            except (StoreError, sqlite3.Error) as error:
                raise Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE, f"the store of {room.name} cannot be read: {error}", RETRY
                ) from error
            yield room, store

    def _part(self, room: Room, store: Lookup, asked: AlarmsAsked, start: int | None) -> _Part:
        """Look through one partition for alarms that fit."""
        up = asked.after is not None
        at = (0 if up else LAST) if start is None else start
        found: list[Stored] = []
        since, until = _ns(asked.since), _ns(asked.until)
        for _ in range(LOOKED_AT // AT_ONCE):
            after, before = (at, LAST) if up else (0, at)
            rows = store.alarms_between(after, before, AT_ONCE, asked.state, newest_first=not up)
            for one in rows:
                event = one.row
                if not isinstance(event, AlarmEvent):
                    continue
                if not up and since is not None and event.arrival_ns < since - APART_NS:
                    return _Part(room.name, found, at, more=False)
                at = one.id
                if _fits(event, asked, since, until):
                    found.append(one)
                    if len(found) == asked.limit:
                        return _Part(room.name, found, at, more=True)
            if len(rows) < AT_ONCE:
                return _Part(room.name, found, at, more=False)
        return _Part(room.name, found, at, more=True)


RETRY: Final = {"Retry-After": "2"}


def _fits(event: AlarmEvent, asked: AlarmsAsked, since: int | None, until: int | None) -> bool:
    return (
        asked.site in {None, event.site}
        and asked.patient in {None, event.patient}
        and (not asked.condition or event.condition in asked.condition)
        and (not asked.priority or event.priority in asked.priority)
        and (since is None or event.arrival_ns >= since)
        and (until is None or event.arrival_ns < until)
    )


def _ns(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // timedelta(microseconds=1) * 1000


def _places(cursor: str) -> dict[str, int]:
    return {name: int(at) for name, _, at in (part.rpartition("~") for part in cursor.split(".") if part)}


def _cursor(places: dict[str, int]) -> str:
    return ".".join(f"{name}~{at}" for name, at in sorted(places.items()))
