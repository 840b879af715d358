"""What can be asked: alarms, devices, patients, vitals, health."""

from functools import partial
from http import HTTPStatus
from typing import TypeVar

from dataflows.couriers.bodies import rfc3339
from deploy.api import documents, shown
from deploy.api.archive import Place
from deploy.api.asks import AlarmsAsked, ListAsked, VitalsAsked
from deploy.api.operations import Call, Ward
from deploy.api.problems import Problem

LEDGER_HOURS = 48
MS_NS = 1_000_000
T = TypeVar("T")


async def list_alarms(ward: Ward, call: Call) -> documents.Alarms:
    """Alarms as they are now."""
    asked = call.asked(AlarmsAsked)
    page = await ward.read(partial(ward.archive.alarms, asked))
    older = page.at if page.more and asked.after is None else None
    return documents.Alarms([shown.alarm(event) for event in page.events], page.more, older, page.newest)


async def show_alarm(ward: Ward, call: Call) -> documents.AlarmHistory:
    """One alarm with its history."""
    name = call.path["alarm"]
    history = await ward.read(partial(ward.archive.history, name))
    if not history:
        raise unknown_alarm(name)
    return documents.AlarmHistory(shown.alarm(history[-1]), [shown.alarm(event, strip=True) for event in history])


async def list_receipts(ward: Ward, call: Call) -> documents.Receipts:
    """What became of an alarm's events at each receiver."""
    place = await find_alarm(ward, call.path["alarm"])
    found = await ward.read(partial(ward.archive.receipts, place))
    return documents.Receipts([shown.receipt(one) for one in found])


async def list_devices(ward: Ward, call: Call) -> documents.Devices:
    """Devices by site and name."""
    rows = {(row.site, row.device): row for row in await ward.read(ward.archive.devices)}
    some, after = _some(rows, call.asked(ListAsked))
    return documents.Devices([shown.device(row) for row in some], after)


async def show_device(ward: Ward, call: Call) -> documents.DeviceHours:
    """One device with its ledger."""
    site, name = call.path["site"], call.path["device"]
    row = next((one for one in await ward.read(ward.archive.devices) if (one.site, one.device) == (site, name)), None)
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no device {name!r} of site {site!r}: the list of devices has all")
    hours = await ward.read(partial(ward.archive.ledger, site, name, LEDGER_HOURS))
    return documents.DeviceHours(shown.device(row), [shown.hour(one) for one in hours])


async def list_patients(ward: Ward, call: Call) -> documents.Patients:
    """Patients by site and name."""
    rows = {(row.site, row.patient): (row, bed) for row, bed in await ward.read(ward.archive.patients)}
    some, after = _some(rows, call.asked(ListAsked))
    return documents.Patients([shown.patient(row, bed) for row, bed in some], after)


async def show_vitals(ward: Ward, call: Call) -> documents.Seconds:
    """Vitals of a patient, of the last hour at most."""
    site, name, asked = call.path["site"], call.path["patient"], call.asked(VitalsAsked)
    rows = await ward.read(partial(ward.archive.seconds, site, name, asked.seconds, asked.after))
    if rows is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"nothing is known of a patient {name!r} of site {site!r}: the list of patients has all",
        )
    return documents.Seconds(site, name, [shown.second(row) for row in rows])


async def show_health(ward: Ward, _call: Call) -> documents.Health:
    """Whether data flow."""
    silent = {one.partition: rfc3339(one.since_ms * MS_NS) for one in ward.feed.silent}
    parts = [
        documents.PartitionHealth(room.name, room.name not in silent and not ward.feed.trouble, silent.get(room.name))
        for room in ward.feed.rooms
    ]
    detail = [ward.feed.trouble, *(f"nothing from {name} since {since}" for name, since in silent.items())]
    return documents.Health(all(part.flowing for part in parts), "; ".join(filter(None, detail)), parts)


async def list_tokens(ward: Ward, _call: Call) -> documents.TokenList:
    """Who may ask."""
    return documents.TokenList([documents.TokenOut(token.name, token.role) for token in ward.keyring.tokens])


async def find_alarm(ward: Ward, alarm: str) -> Place:
    """Alarm of an id.

    Raises
    ------
    Problem
        There is none.
    """
    place = await ward.read(partial(ward.archive.alarm, alarm))
    if place is None:
        raise unknown_alarm(alarm)
    return place


def unknown_alarm(alarm: str) -> Problem:
    """There is none of this id."""
    return Problem(HTTPStatus.NOT_FOUND, f"no alarm {alarm!r}: the list of alarms has every id")


def _some(rows: dict[tuple[str, str], T], asked: ListAsked) -> tuple[list[T], str | None]:
    """Those of a site after a place, as many as were asked for, and the place after which there are more."""
    site, _, name = (asked.after or "").partition("/")
    fit = sorted(place for place in rows if asked.site in {None, place[0]} and place > (site, name))
    taken = fit[: asked.limit]
    return [rows[place] for place in taken], "/".join(taken[-1]) if len(fit) > len(taken) else None
